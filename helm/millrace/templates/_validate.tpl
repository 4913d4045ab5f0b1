{{/* What cannot work is refused here, with the remedy; the schema has refused what is misspelt. */}}
{{- define "millrace.validate" -}}
{{- $v := .Values -}}
{{- $silos := int $v.silo.replicaCount -}}
{{- $isAlone := include "millrace.isAlone" . -}}
{{- if and $isAlone (gt $silos 1) -}}
{{- fail (printf "\n%d silos need an etcd to find each other: set etcd.enabled=true, or coordination.endpoints to the addresses of yours; without one there can be one silo (silo.replicaCount=1)." $silos) -}}
{{- end -}}
{{- if and $v.coordination.endpoints $v.etcd.enabled -}}
{{- fail "\ncoordination.endpoints name an etcd, and etcd.enabled=true asks for another one: keep one of the two. A cluster cannot move between them by an upgrade." -}}
{{- end -}}
{{- if and $v.etcd.enabled (eq (mod (int $v.etcd.replicaCount) 2) 0) -}}
{{- fail (printf "\netcd.replicaCount=%d: an even number of members survives no more losses than one less, and stops at the same; use 1, 3 or 5." (int $v.etcd.replicaCount)) -}}
{{- end -}}
{{- if and $v.etcd.enabled (not $v.etcd.persistence.enabled) (gt (int $v.etcd.replicaCount) 1) -}}
{{- fail (printf "\netcd.persistence.enabled=false with %d members: one that starts with an empty disk is not taken back by the others. Turn it on, or use one member for trying things." (int $v.etcd.replicaCount)) -}}
{{- end -}}
{{- /* `lookup` finds nothing where the chart is rendered without the cluster. */ -}}
{{- $name := include "millrace.fullname" . -}}
{{- $etcdThere := lookup "apps/v1" "StatefulSet" .Release.Namespace (printf "%s-etcd" $name) -}}
{{- if and $etcdThere $v.etcd.enabled -}}
{{- if ne (int $etcdThere.spec.replicas) (int $v.etcd.replicaCount) -}}
{{- fail (printf "\netcd.replicaCount=%d: the etcd that is there has %d, and their number is fixed at the install: new members would begin a cluster of their own. Keep that number." (int $v.etcd.replicaCount) (int $etcdThere.spec.replicas)) -}}
{{- end -}}
{{- end -}}
{{- if and $etcdThere $v.etcd.enabled -}}
{{- if ne $v.etcd.tls.enabled (contains "https://" (toJson $etcdThere.spec)) -}}
{{- fail (printf "\netcd.tls.enabled=%t: the etcd that is there speaks otherwise, and its members know each other by the addresses of the install. Keep what it was." $v.etcd.tls.enabled) -}}
{{- end -}}
{{- end -}}
{{- with lookup "apps/v1" "StatefulSet" .Release.Namespace (printf "%s-silo" $name) -}}
{{- if lt $silos (sub (int .spec.replicas) 1 | int) -}}
{{- fail (printf "\nsilo.replicaCount=%d: there are %d silos, and with two gone at once partitions lose most of their copies: take one away at a time (%d now), and wait for `millrace cluster health --wait 30m` between." $silos (int .spec.replicas) (sub (int .spec.replicas) 1)) -}}
{{- end -}}
{{- end -}}
{{- if and $isAlone $v.gateway.enabled -}}
{{- fail "\nA single silo without an etcd serves the API itself: set gateway.enabled=false, or give the cluster an etcd (etcd.enabled=true)." -}}
{{- end -}}
{{- if and $isAlone $v.executor.enabled -}}
{{- fail "\nExecutors are silos of a cluster: set executor.enabled=false, or give the cluster an etcd (etcd.enabled=true)." -}}
{{- end -}}
{{- if gt (int $v.copies) $silos -}}
{{- fail (printf "\ncopies=%d of each partition need as many silos, and silo.replicaCount is %d: use as many silos, or fewer copies. A partition that has had %d copies takes no write with one." (int $v.copies) $silos (int $v.copies)) -}}
{{- end -}}
{{- if and (not $v.silo.persistence.enabled) (gt $silos 1) -}}
{{- fail "\nsilo.persistence.enabled=false keeps what is acknowledged in emptyDirs, which go with their pods: a node that is drained loses its copy, and an upgrade may lose them all. Turn it on, or use one silo for trying things." -}}
{{- end -}}
{{- range $component := list "silo" "executor" -}}
{{- with index $v $component -}}
{{- if and .persistence.existingClaim (gt (int .replicaCount) 1) -}}
{{- fail (printf "\n%s.persistence.existingClaim is one volume, and there are %d pods: each needs its own, so leave the claim out, or use one pod." $component (int .replicaCount)) -}}
{{- end -}}
{{- if or (has "ReadWriteMany" .persistence.accessModes) (has "ReadOnlyMany" .persistence.accessModes) -}}
{{- fail (printf "\n%s.persistence.accessModes: volumes that many nodes can mount are network file systems, on which LMDB loses data. Use [ReadWriteOnce] or [ReadWriteOncePod]." $component) -}}
{{- end -}}
{{- if lt (int .terminationGracePeriodSeconds) 60 -}}
{{- fail (printf "\n%s.terminationGracePeriodSeconds=%d: half of it is for the drain, and the silo then takes up to 28 s to stop; give it 60 or more." $component (int .terminationGracePeriodSeconds)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- with $v.gateway -}}
{{- if lt (int .terminationGracePeriodSeconds) (add 30 (int .endpointPropagationSeconds) | int) -}}
{{- fail (printf "\ngateway.terminationGracePeriodSeconds=%d: after endpointPropagationSeconds=%d a gateway takes up to 28 s to stop; give it %d or more." (int .terminationGracePeriodSeconds) (int .endpointPropagationSeconds) (add 30 (int .endpointPropagationSeconds) | int)) -}}
{{- end -}}
{{- if and .autoscaling.enabled (gt (int .autoscaling.minReplicas) (int .autoscaling.maxReplicas)) -}}
{{- fail (printf "\ngateway.autoscaling.minReplicas=%d is more than maxReplicas=%d." (int .autoscaling.minReplicas) (int .autoscaling.maxReplicas)) -}}
{{- end -}}
{{- end -}}
{{- if not $v.exposeUnprotected -}}
{{- range $what, $is := dict "ingress.enabled=true" $v.ingress.enabled "httpRoute.enabled=true" $v.httpRoute.enabled (printf "service.type=%s" $v.service.type) (ne $v.service.type "ClusterIP") -}}
{{- if and $is (not $v.access.enabled) -}}
{{- fail (printf "\n%s brings the API out of the cluster, and with access.enabled=false it asks nobody who they are: whoever reaches it runs commands in it. Keep access.enabled=true, or put something that authenticates in front, and say exposeUnprotected=true." $what) -}}
{{- end -}}
{{- end -}}
{{- if and (ne $v.service.type "ClusterIP") (not (include "millrace.hasHttps" .)) -}}
{{- fail (printf "\nservice.type=%s brings the API out of the cluster in the clear, tokens too. Give gateways a certificate (gateway.tls.existingSecret), use ingress with a certificate (ingress.tls) or httpRoute with a Gateway that speaks TLS, or put something that does in front, and say exposeUnprotected=true." $v.service.type) -}}
{{- end -}}
{{- end -}}
{{- if and $v.ingress.enabled (not $v.ingress.hosts) -}}
{{- fail "\ningress.enabled=true needs ingress.hosts: without a host it would take all of the controller's." -}}
{{- end -}}
{{- if and $v.ingress.enabled (not $v.ingress.tls) (not $v.exposeUnprotected) -}}
{{- fail "\ningress.enabled=true without ingress.tls brings the API out of the cluster in the clear, tokens too. Name the certificate (ingress.tls[0].secretName and .hosts), or, where the controller has one of its own or something before it speaks TLS, say exposeUnprotected=true." -}}
{{- end -}}
{{- if and $v.httpRoute.enabled (not $v.httpRoute.parentRefs) -}}
{{- fail "\nhttpRoute.enabled=true needs httpRoute.parentRefs: the Gateway that it belongs to." -}}
{{- end -}}
{{- range $where, $labels := dict "commonLabels" $v.commonLabels "etcd.podLabels" $v.etcd.podLabels "silo.podLabels" $v.silo.podLabels "executor.podLabels" $v.executor.podLabels "gateway.podLabels" $v.gateway.podLabels -}}
{{- range $key := list "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/component" -}}
{{- if hasKey $labels $key -}}
{{- fail (printf "\n%s: by %s the chart's objects find their pods; use another label." $where $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if or (eq $v.image.tag "latest") (eq $v.etcd.image.tag "latest") -}}
{{- fail "\nimage.tag=latest is another program with each restart, and silos of several builds in one cluster are for an upgrade only: name a version, or a digest." -}}
{{- end -}}
{{- if and $v.links.tls.existingSecret $v.links.tls.certManager.enabled -}}
{{- fail "\nlinks.tls.existingSecret has an authority, and links.tls.certManager.enabled=true asks for one: keep one of the two." -}}
{{- end -}}
{{- if $v.metrics.serviceMonitor.enabled -}}
{{- if and $v.access.enabled (not $v.metrics.token.existingSecret) -}}
{{- fail "\nmetrics.serviceMonitor.enabled=true needs metrics.token.existingSecret, a Secret with a token that may read figures (`millrace token create prometheus --grant /metrics=read`). It may be made after the install; the chart's own token may do everything, and is not for Prometheus." -}}
{{- end -}}
{{- $trusts := concat (list (include "millrace.trust" (dict "root" . "component" "silo"))) (ternary (list (include "millrace.trust" (dict "root" . "component" "gateway"))) list $v.gateway.enabled) | compact -}}
{{- if and $trusts (ne (default .Release.Namespace $v.metrics.serviceMonitor.namespace) .Release.Namespace) (not $v.metrics.authority.existingSecret) -}}
{{- fail (printf "\nmetrics.serviceMonitor.namespace=%s: Prometheus looks for Secrets in the namespace of the ServiceMonitors. Put the certificates of the authorities that pods are known by into one there, and name it (metrics.authority.existingSecret); metrics.token.existingSecret is looked for there, too. Or leave the namespace out." $v.metrics.serviceMonitor.namespace) -}}
{{- end -}}
{{- end -}}
{{- if $v.backup.enabled -}}
{{- if not $v.backup.existingClaim -}}
{{- fail "\nbackup.enabled=true needs backup.existingClaim: the volume that backups are written to." -}}
{{- end -}}
{{- if ne (int $v.copies) $silos -}}
{{- fail (printf "\nbackup.enabled=true: a backup is made of a silo that has all partitions, which is so with as many copies (%d) as silos (%d) only." (int $v.copies) $silos) -}}
{{- end -}}
{{- end -}}
{{- end }}
