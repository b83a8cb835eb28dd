{{- /*
How many workers a pool could use: jobs that are due in its queues and fit its GPUs, of each project
no more than it may still run; and inspections. The conditions are those of a claim (jobs/turns.py).
*/ -}}
{{- define "stillhouse.waiting" -}}
{{- $active := "('running', 'pausing', 'cancelling')" -}}
SELECT COALESCE(SUM(GREATEST(LEAST(waiting, room), 0)), 0)
{{- if .keda.inspections }} + (SELECT COUNT(*) FROM inspections WHERE state = 'queued'){{ end }} AS workers
FROM (
  SELECT COUNT(*) FILTER (
    WHERE jobs.status = 'queued'
      AND jobs.queue IN ({{ range $place, $queue := .queues }}{{ if $place }}, {{ end }}'{{ $queue }}'{{ end }})
      AND jobs.gpus <= {{ int64 .gpus }}
      AND (jobs.run_after <= clock_timestamp() OR jobs.run_after > clock_timestamp() + INTERVAL '900 seconds')
  ) AS waiting,
  MAX(projects.max_running) - COUNT(*) FILTER (WHERE jobs.status IN {{ $active }}) AS room
  FROM jobs LEFT JOIN projects ON projects.name = jobs.project
  WHERE jobs.status = 'queued' OR jobs.status IN {{ $active }}
  GROUP BY jobs.project
) AS of_projects
{{- end -}}
