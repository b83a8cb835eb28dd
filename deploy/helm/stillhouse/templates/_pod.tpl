{{- /*
What every pod of ours has, as in docker-compose.yml: nobody special, nothing to gain, a root that
is only read, somebody who reaps what is orphaned (the namespace's first process, for `init: true`).
Service links are off: Kubernetes would set STILLHOUSE_PORT for a Service named stillhouse, which is
a setting of ours.
*/ -}}
{{- define "stillhouse.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
shareProcessNamespace: true
securityContext:
  runAsNonRoot: true
  {{- with .root.Values.user }}
  runAsUser: {{ int64 . }}
  {{- end }}
  {{- with .root.Values.group }}
  runAsGroup: {{ int64 . }}
  fsGroup: {{ int64 . }}
  fsGroupChangePolicy: OnRootMismatch
  {{- end }}
  seccompProfile: {type: RuntimeDefault}
{{- with .root.Values.images.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .role.priorityClassName | default .root.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .role.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .role.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .role.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .role.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "stillhouse.container" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end -}}

{{- /* What is written to: /data, which roles share, and /tmp. */ -}}
{{- define "stillhouse.volumes" -}}
{{- $data := .root.Values.data -}}
- name: tmp
  emptyDir: {}
- name: data
  {{- if and $data.persistent (not .own) }}
  persistentVolumeClaim: {claimName: {{ include "stillhouse.claim" .root }}}
  {{- else if .own }}
  emptyDir: {}
  {{- else }}
  emptyDir: {sizeLimit: {{ $data.size }}}
  {{- end }}
{{- with .sharedMemory }}
- name: memory
  emptyDir: {medium: Memory, sizeLimit: {{ . }}}
{{- end }}
{{- end -}}

{{- define "stillhouse.mounts" -}}
- {name: tmp, mountPath: /tmp}
- {name: data, mountPath: /data}
{{- if .sharedMemory }}
- {name: memory, mountPath: /dev/shm}
{{- end }}
{{- end -}}

{{- define "stillhouse.podMetadata" -}}
labels:
  {{- include "stillhouse.labels" . | nindent 2 }}
  {{- with merge (dict) (.role.podLabels | default dict) .root.Values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with merge (dict) (.role.podAnnotations | default dict) .root.Values.podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
