{{- define "stillhouse.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- /* Short enough for "-a-pools-name" and what Kubernetes itself appends. */ -}}
{{- define "stillhouse.fullname" -}}
{{- $name := include "stillhouse.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- /* (dict "root" $ "component" "api"): what a Service or a policy finds pods by; never changes. */ -}}
{{- define "stillhouse.selector" -}}
app.kubernetes.io/name: {{ include "stillhouse.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- with .pool }}
stillhouse/pool: {{ . }}
{{- end }}
{{- end -}}

{{- define "stillhouse.labels" -}}
{{ include "stillhouse.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{- /* (dict "root" $ "image" .Values.images.api) */ -}}
{{- define "stillhouse.image" -}}
{{- with .image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.root.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "stillhouse.serviceAccount" -}}
{{- $account := .Values.serviceAccount -}}
{{- if $account.create -}}
{{- $account.name | default (include "stillhouse.fullname" .) -}}
{{- else -}}
{{- $account.name | default "default" -}}
{{- end -}}
{{- end -}}

{{- define "stillhouse.claim" -}}
{{- .Values.data.existingClaim | default (printf "%s-data" (include "stillhouse.fullname" .)) -}}
{{- end -}}

{{- /* By which names the API is called inside the cluster, at its door, and by the cluster itself. */ -}}
{{- define "stillhouse.hosts" -}}
{{- $service := printf "%s-api" (include "stillhouse.fullname" .) -}}
{{- $inside := list $service (printf "%s.%s" $service .Release.Namespace) -}}
{{- $inside = concat $inside (list (printf "%s.%s.svc" $service .Release.Namespace)) -}}
{{- $inside = concat $inside (list (printf "%s.%s.svc.cluster.local" $service .Release.Namespace)) -}}
{{- $doors := ternary .Values.ingress.hosts list .Values.ingress.enabled -}}
{{- /* Probes and Prometheus call a pod by its address. */ -}}
{{- concat (list "$(POD_IP)" "[$(POD_IP)]") $inside $doors .Values.api.allowedHosts | join "," -}}
{{- end -}}
