{{- /* A scalar as a process shall read it: YAML's 53687091200 would come out as 5.36870912e+10. */ -}}
{{- define "stillhouse.scalar" -}}
{{- if kindIs "string" . -}}{{ . }}{{- else -}}{{ toJson . }}{{- end -}}
{{- end -}}

{{- /* (dict "root" $ "settings" (dict "slots" 1)): as variables STILLHOUSE_<NAME>, in order. */ -}}
{{- define "stillhouse.settings" -}}
{{- range $name, $value := .settings }}
{{- if not (kindIs "invalid" $value) }}
- name: STILLHOUSE_{{ upper $name }}
  value: {{ include "stillhouse.scalar" $value | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "stillhouse.fromSecret" -}}
- name: {{ .name }}
  valueFrom:
    secretKeyRef:
      name: {{ .secret }}
      key: {{ .key }}
{{- end -}}

{{- /*
(dict "root" $ "role" .Values.api "told" (dict ...)): all that a role's process is told. What the
chart tells wins over the role's settings, and those over the settings for all. Set one by one: a
`merge` of Helm's would take a false or a 0 for nothing.
*/ -}}
{{- define "stillhouse.environment" -}}
{{- $values := .root.Values -}}
{{- $s3 := $values.artifacts.s3 -}}
{{- $told := merge (dict "data" "/data") (.told | default dict) -}}
{{- if $values.artifacts.place -}}
{{- $_ := set $told "artifacts" $values.artifacts.place -}}
{{- $optional := dict "s3_endpoint" $s3.endpoint "s3_public_endpoint" $s3.publicEndpoint "s3_region" $s3.region -}}
{{- range $name, $value := $optional -}}
{{- if $value -}}{{- $_ := set $told $name $value -}}{{- end -}}
{{- end -}}
{{- $_ := set $told "s3_path_style" $s3.pathStyle -}}
{{- $_ := set $told "s3_presign" $s3.presign -}}
{{- $_ := set $told "s3_presign_seconds" $s3.presignSeconds -}}
{{- end -}}
{{- $settings := dict -}}
{{- range $layer := list $values.settings (.role.settings | default dict) $told -}}
{{- range $name, $value := $layer -}}
{{- $_ := set $settings $name $value -}}
{{- end -}}
{{- end -}}
{{ include "stillhouse.fromSecret" (dict "name" "STILLHOUSE_DATABASE_URL" "secret" $values.database.secret "key" $values.database.key) }}
{{- if $values.broker.secret }}
{{ include "stillhouse.fromSecret" (dict "name" "STILLHOUSE_BROKER_URL" "secret" $values.broker.secret "key" $values.broker.key) }}
{{- end }}
{{- if and $values.artifacts.place $s3.secret }}
{{ include "stillhouse.fromSecret" (dict "name" "STILLHOUSE_S3_ACCESS_KEY_ID" "secret" $s3.secret "key" $s3.accessKeyIdKey) }}
{{ include "stillhouse.fromSecret" (dict "name" "STILLHOUSE_S3_SECRET_ACCESS_KEY" "secret" $s3.secret "key" $s3.secretAccessKeyKey) }}
{{- if $s3.sessionTokenKey }}
{{ include "stillhouse.fromSecret" (dict "name" "STILLHOUSE_S3_SESSION_TOKEN" "secret" $s3.secret "key" $s3.sessionTokenKey) }}
{{- end }}
{{- end }}
{{- include "stillhouse.settings" (dict "settings" $settings) }}
{{- with concat $values.extraEnv (.role.extraEnv | default list) }}
{{ toYaml . }}
{{- end }}
{{- end -}}
