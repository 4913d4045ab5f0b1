{{/* The rules: dict "root" $ "own" matchers of all of the release "silos" those of its silos */}}
{{- define "millrace.alerts" -}}
{{- $rules := .root.Values.metrics.prometheusRule -}}
{{- $silos := int .root.Values.silo.replicaCount -}}
{{- $own := .own -}}
{{- /* Outcomes that the caller has no part in. */ -}}
{{- $faults := "deadline_exceeded|internal|not_enough_replicas|out_of_space|outcome_unknown|overloaded|storage_failed|unavailable" -}}
{{- /* Calls of runs and executors may wait for what has not happened yet: CallsSlow leaves them out. */ -}}
{{- /* A pod's own certificate may be for few days. */ -}}
{{- $httpsLeft := int64 (mulf 86400 $rules.certificateDaysMin) -}}
{{- if .root.Values.https.enabled }}{{ $httpsLeft = min $httpsLeft (int64 (mulf 8640 .root.Values.links.tls.certificateDays)) }}{{ end -}}
{{- $isCluster := not (include "millrace.isAlone" .root) -}}
{{- $all := list
  (dict "alert" "MillraceSiloDown" "for" "2m" "severity" "critical" "in" "any"
    "expr" (printf "(count(up{%s} == 1) or vector(0)) < %d" .silos $silos)
    "summary" (printf "Of %d silos only {{ $value }} answer." $silos))
  (dict "alert" "MillracePartitionsWithoutLeader" "for" "1m" "severity" "critical" "in" "cluster"
    "expr" (printf "max(millrace_cluster_partitions_without_leader{%s}) > 0" $own)
    "summary" "{{ $value }} partitions have no leader: their actors answer nothing.")
  (dict "alert" "MillraceWritesRefused" "for" "1m" "severity" "critical" "in" "cluster"
    "expr" (printf "sum(millrace_cluster_partitions_below_minimum{%s}) > 0" $own)
    "summary" "{{ $value }} partitions have too few copies to be written.")
  (dict "alert" "MillraceSingleCopy" "for" "1m" "severity" "critical" "in" "cluster"
    "expr" (printf "sum(millrace_cluster_partitions_single_copy{%s}) > 0" $own)
    "summary" "What {{ $value }} partitions acknowledge is on one disk.")
  (dict "alert" "MillraceUnderReplicated" "for" "15m" "severity" "warning" "in" "cluster"
    "expr" (printf "sum(millrace_cluster_partitions_below_copies{%s}) > 0" $own)
    "summary" "{{ $value }} partitions have had fewer copies than wanted for 15 minutes.")
  (dict "alert" "MillraceDataLost" "for" "0m" "severity" "critical" "in" "cluster"
    "expr" (printf "max(millrace_cluster_losses_unacknowledged{%s}) > 0" $own)
    "summary" "{{ $value }} partitions lost data by break-glass, and nobody has acknowledged it.")
  (dict "alert" "MillraceCoordinationUnreachable" "for" "1m" "severity" "critical" "in" "cluster"
    "expr" (printf "min by (pod) (millrace_cluster_store_reachable{%s}) == 0" $own)
    "summary" "{{ $labels.pod }} does not reach etcd: nothing fails over while that lasts.")
  (dict "alert" "MillraceLinksDown" "for" "2m" "severity" "warning" "in" "cluster"
    "expr" (printf "max by (pod) (millrace_cluster_links_down{%s}) > 0" $own)
    "summary" "{{ $labels.pod }} has no link to {{ $value }} silos that are in.")
  (dict "alert" "MillraceCopyLag" "for" "5m" "severity" "warning" "in" "cluster"
    "expr" (printf "max by (pod) (millrace_cluster_copy_lag_seconds{%s}) > 1" $own)
    "summary" "A copy of what {{ $labels.pod }} leads is {{ $value | humanizeDuration }} behind.")
  (dict "alert" "MillraceCopiesLeave" "for" "0m" "severity" "warning" "in" "cluster"
    "expr" (printf "sum(increase(millrace_cluster_ejections_total{%s}[30m])) > %d" $own (int $rules.ejectionsMax))
    "summary" "Copies have left their sets {{ $value | humanize }} times in half an hour: a disk, a network or a silo is not well.")
  (dict "alert" "MillraceCheckpointLag" "for" "10m" "severity" "warning" "in" "any"
    "expr" (printf "max by (pod) (millrace_storage_overlay_bytes{%s}) > 200 * 1024 * 1024" $own)
    "summary" "{{ $labels.pod }} holds {{ $value | humanize1024 }}B that its checkpoint lacks; at 256 MiB writers wait.")
  (dict "alert" "MillraceSlowDisk" "for" "10m" "severity" "warning" "in" "any"
    "expr" (printf "histogram_quantile(0.99, sum by (pod, le) (rate(millrace_storage_flush_seconds_bucket{%s}[5m]))) > %s" $own (toString $rules.flushSecondsMax))
    "summary" "One in a hundred flushes of {{ $labels.pod }} takes {{ $value | humanizeDuration }}.")
  (dict "alert" "MillraceStorageFull" "for" "5m" "severity" "critical" "in" "any"
    "expr" (printf "max by (pod) (millrace_storage_map_used_ratio{%s}) > 0.8" $own)
    "summary" "{{ $labels.pod }} has used {{ $value | humanizePercentage }} of its quota; from 85 % on new work is refused.")
  (dict "alert" "MillraceVolumeFull" "for" "5m" "severity" "critical" "in" "any"
    "expr" (printf "min by (persistentvolumeclaim) (kubelet_volume_stats_available_bytes{namespace=%q,persistentvolumeclaim=~%q} / kubelet_volume_stats_capacity_bytes{namespace=%q,persistentvolumeclaim=~%q}) < 0.15" .root.Release.Namespace (printf "data-%s-.*" (include "millrace.fullname" .root)) .root.Release.Namespace (printf "data-%s-.*" (include "millrace.fullname" .root)))
    "summary" "The volume {{ $labels.persistentvolumeclaim }} has {{ $value | humanizePercentage }} left.")
  (dict "alert" "MillraceCallsFail" "for" "10m" "severity" "warning" "in" "any"
    "expr" (printf "sum by (type) (rate(millrace_runtime_calls_total{%s,outcome=~\"%s\"}[5m])) / sum by (type) (rate(millrace_runtime_calls_total{%s}[5m])) > %s" $own $faults $own (toString $rules.errorRatioMax))
    "summary" "{{ $value | humanizePercentage }} of the calls of {{ $labels.type }} fail.")
  (dict "alert" "MillraceCallsSlow" "for" "10m" "severity" "warning" "in" "any"
    "expr" (printf "histogram_quantile(0.99, sum by (type, le) (rate(millrace_runtime_call_seconds_bucket{%s,type!~\"run|executor\"}[5m]))) > %s" $own (toString $rules.callSecondsMax))
    "summary" "One in a hundred calls of {{ $labels.type }} takes {{ $value | humanizeDuration }}: it waits for its turn, or for others.")
  (dict "alert" "MillraceOverloaded" "for" "5m" "severity" "warning" "in" "any"
    "expr" (printf "sum by (pod) (rate(millrace_runtime_overloaded_total{%s}[5m])) > 0" $own)
    "summary" "{{ $labels.pod }} refuses calls, since queues are full.")
  (dict "alert" "MillraceDeadLetters" "for" "0m" "severity" "warning" "in" "any"
    "expr" (printf "sum by (type) (increase(millrace_runtime_dead_letters_total{%s}[15m])) > 0" $own)
    "summary" "Sends of {{ $labels.type }} were given up; see `millrace dead-letters`.")
  (dict "alert" "MillraceTurnsStuck" "for" "0m" "severity" "warning" "in" "any"
    "expr" (printf "sum by (pod) (increase(millrace_runtime_stuck_threads_total{%s}[15m])) > 0" $own)
    "summary" "Turns of {{ $labels.pod }} did not give their threads back.")
  (dict "alert" "MillraceMemoryExhausted" "for" "0m" "severity" "warning" "in" "any"
    "expr" (printf "sum by (pod) (increase(millrace_runtime_memory_exhausted_total{%s}[15m])) > 0" $own)
    "summary" "{{ $labels.pod }} passed its memory budget with all actors busy.")
  (dict "alert" "MillraceExecutorStuck" "for" "1m" "severity" "warning" "in" "any"
    "expr" (printf "max by (pod) (millrace_executor_busy_seconds{%s}) > 60" $own)
    "summary" "The executor of {{ $labels.pod }} has been at one thing for {{ $value | humanizeDuration }}.")
  (dict "alert" "MillraceRequestsRejected" "for" "10m" "severity" "warning" "in" "any"
    "expr" (printf "sum by (pod) (rate(millrace_gateway_rejected_total{%s}[5m])) > 1" $own)
    "summary" "{{ $labels.pod }} rejects {{ $value | humanize }} malformed, large or slow requests a second.")
  (dict "alert" "MillraceHttpsCertificateEnds" "for" "10m" "severity" "warning" "in" "any"
    "expr" (printf "min by (pod) (millrace_gateway_certificate_left_seconds{%s}) < %d" $own $httpsLeft)
    "summary" "The certificate that {{ $labels.pod }} shows to clients ends in {{ $value | humanizeDuration }}.")
  (dict "alert" "MillraceAuthorityEnds" "for" "10m" "severity" "warning" "in" "cluster"
    "expr" (printf "min(millrace_cluster_authority_left_seconds{%s}) < %d" $own (int64 (mulf 86400 $rules.certificateDaysMin)))
    "summary" "The authority of the cluster ends in {{ $value | humanizeDuration }}, and every certificate with it.")
  (dict "alert" "MillraceTokensOld" "for" "1m" "severity" "warning" "in" "any"
    "expr" (printf "max by (pod) (millrace_gateway_tokens_age_seconds{%s}) > 120" $own)
    "summary" "{{ $labels.pod }} has heard nothing of the tokens for {{ $value | humanizeDuration }}: what was revoked meanwhile is still good there.")
-}}
{{- range $component, $service := dict "executor" "-executor" "gateway" "" -}}
{{- if (index $.root.Values $component).enabled -}}
{{- $all = append $all (dict "alert" (printf "Millrace%ssDown" (title $component)) "for" "2m" "severity" "critical" "in" "cluster"
    "expr" (printf "(count(up{namespace=%q,service=%q} == 1) or vector(0)) == 0" $.root.Release.Namespace (printf "%s%s" (include "millrace.fullname" $.root) $service))
    "summary" (printf "No %s answers." $component)) -}}
{{- end -}}
{{- end -}}
{{- if include "millrace.hasTls" .root -}}
{{- /* A certificate is made when its pod starts, and a restart of a container makes no other. */ -}}
{{- $all = append $all (dict "alert" "MillraceCertificateEnds" "for" "10m" "severity" "warning" "in" "cluster"
    "expr" (printf "min by (pod) (millrace_cluster_certificate_left_seconds{%s}) < %d" $own (int64 (mulf 8640 .root.Values.links.tls.certificateDays)))
    "summary" "Nine tenths of the life of the certificate of {{ $labels.pod }} are over; a new pod makes another.") -}}
{{- end -}}
{{- range $all }}
{{- if and (or $isCluster (eq .in "any")) (not (has .alert $rules.disabled)) }}
- alert: {{ .alert }}
  expr: {{ .expr | quote }}
  for: {{ .for }}
  labels:
    {{- toYaml (mergeOverwrite (dict "severity" .severity) $rules.ruleLabels) | nindent 4 }}
  annotations:
    summary: {{ .summary | quote }}
    {{- if $rules.runbookUrl }}
    runbook_url: {{ printf "%s#%s" $rules.runbookUrl (lower .alert) | quote }}
    {{- else }}
    runbook: {{ printf "docs/operations.md#%s" (lower .alert) | quote }}
    {{- end }}
{{- end }}
{{- end }}
{{- end }}
