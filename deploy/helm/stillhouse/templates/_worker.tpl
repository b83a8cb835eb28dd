{{- /* (dict "root" $ "name" "cpu" "pool" ...): a worker of a pool, of a Deployment or of KEDA. */ -}}
{{- define "stillhouse.workerTemplate" -}}
{{- $pool := .pool -}}
{{- $root := .root -}}
{{- $image := merge (dict) $pool.image $root.Values.images.worker -}}
{{- $stop := $pool.settings.stop_seconds | default $root.Values.settings.stop_seconds | default 60 -}}
{{- if lt (float64 $pool.terminationGracePeriodSeconds) (addf $stop 30.0) -}}
{{- fail (printf "pools.%s.terminationGracePeriodSeconds: found %v s; expected %v s or more, since a trainer may take %v s to save (settings.stop_seconds), and handing over takes a moment" .name $pool.terminationGracePeriodSeconds (addf $stop 30.0) $stop) -}}
{{- end -}}
{{- $told := dict "queues" (join "," $pool.queues) "slots" $pool.slots "gpus" $pool.gpus -}}
{{- if $pool.keda.enabled -}}
{{- $told = merge $told (dict "worker_jobs" $pool.slots "worker_idle_seconds" $pool.keda.idleSeconds) -}}
{{- end -}}
metadata:
  {{- include "stillhouse.podMetadata" (dict "root" $root "component" "worker" "pool" .name "role" $pool) | nindent 2 }}
spec:
  {{- include "stillhouse.pod" (dict "root" $root "role" $pool) | nindent 2 }}
  serviceAccountName: {{ include "stillhouse.serviceAccount" $root }}
  terminationGracePeriodSeconds: {{ int64 $pool.terminationGracePeriodSeconds }}
  {{- with $pool.runtimeClassName }}
  runtimeClassName: {{ . }}
  {{- end }}
  {{- if $pool.keda.enabled }}
  restartPolicy: Never
  {{- end }}
  containers:
    - name: worker
      image: {{ include "stillhouse.image" (dict "root" $root "image" $image) }}
      imagePullPolicy: {{ $image.pullPolicy }}
      command: [python, -m, worker]
      env:
        {{- include "stillhouse.environment" (dict "root" $root "role" $pool "told" $told) | nindent 8 }}
      {{- include "stillhouse.container" . | nindent 6 }}
      resources:
        {{- $resources := deepCopy $pool.resources }}
        {{- if $pool.gpus }}
        {{- $limits := merge (dict $pool.gpuResource (int64 $pool.gpus)) ($resources.limits | default dict) }}
        {{- $_ := set $resources "limits" $limits }}
        {{- end }}
        {{- toYaml $resources | nindent 8 }}
      volumeMounts:
        {{- include "stillhouse.mounts" $pool | nindent 8 }}
  volumes:
    {{- include "stillhouse.volumes" (dict "root" $root "sharedMemory" $pool.sharedMemory) | nindent 4 }}
{{- end -}}
