{{/*
The silos and the executors: silos of the role `execute` alone, in pods of their own.
dict "root" $ "component" "silo"
*/}}
{{- define "millrace.silos" -}}
{{- $root := .root -}}
{{- $values := index $root.Values .component -}}
{{- $name := printf "%s-%s" (include "millrace.fullname" $root) .component -}}
{{- $grace := int $values.terminationGracePeriodSeconds -}}
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: {{ $name | quote }}
  namespace: {{ $root.Release.Namespace | quote }}
  labels:
    {{- include "millrace.labels" . | nindent 4 }}
spec:
  serviceName: {{ $name }}
  replicas: {{ $values.replicaCount }}
  podManagementPolicy: Parallel
  minReadySeconds: {{ $values.minReadySeconds }}
  updateStrategy:
    {{- toYaml $values.updateStrategy | nindent 4 }}
  persistentVolumeClaimRetentionPolicy:
    whenDeleted: Retain
    whenScaled: Retain
  selector:
    matchLabels:
      {{- include "millrace.selectorLabels" . | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "millrace.podLabels" . | nindent 8 }}
      annotations:
        {{- toYaml (mergeOverwrite (fromYaml (include "millrace.checksum" .)) $values.podAnnotations) | nindent 8 }}
    spec:
      {{- include "millrace.podSpec" . | nindent 6 }}
      terminationGracePeriodSeconds: {{ $grace }}
      {{- with include "millrace.initContainers" . | trim }}
      initContainers:
        {{- . | nindent 8 }}
      {{- end }}
      containers:
        - name: millrace
          image: {{ include "millrace.image" (dict "root" $root "image" $root.Values.image "tag" $root.Chart.AppVersion) }}
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          {{- if include "millrace.hasOwnToken" . }}
          # The program makes the token that it asks for when it starts; it is taken away once that serves.
          command:
            - /bin/sh
            - -ec
            - |
              rm -f /tmp/millrace-token /tmp/millrace-serves
              mkfifo -m 600 /tmp/millrace-serves
              { read -r _ </tmp/millrace-serves; rm -f /tmp/millrace-token /tmp/millrace-serves; } &
              exec millrace silo "$@" --notify-fd 3 3>/tmp/millrace-serves
            - millrace
          {{- else }}
          command: [millrace, silo]
          {{- end }}
          args:
            - --config
            - /etc/millrace/millrace.yaml
            {{- range $values.extraArgs }}
            - {{ . | quote }}
            {{- end }}
          env:
            {{- include "millrace.env" . | nindent 12 }}
          ports:
            - {name: http, containerPort: 8400}
            {{- if not (include "millrace.isAlone" $root) }}
            - {name: links, containerPort: 8401}
            {{- end }}
          {{- include "millrace.probes" . | trim | nindent 10 }}
          {{- if and (eq .component "silo") (gt (int $values.replicaCount) 1) (not (include "millrace.isAlone" $root)) }}
          lifecycle:
            preStop:
              exec:
                # The silo before this one may still be catching up: half of the time goes to
                # waiting for its copies. Whatever comes of it, the silo is then told to stop.
                command:
                  - /bin/sh
                  - -c
                  - |
                    [ -w /proc/1/fd/1 ] && exec >/proc/1/fd/1 2>&1
                    timeout {{ div $grace 2 }} /bin/sh -c 'millrace cluster health --wait {{ div $grace 4 }}s -o jsonl; millrace drain "$POD_NAME"'
                    exit 0
          {{- end }}
          securityContext:
            {{- toYaml $root.Values.containerSecurityContext | nindent 12 }}
          resources:
            {{- toYaml $values.resources | nindent 12 }}
          volumeMounts:
            - name: data
              mountPath: /var/lib/millrace
            {{- include "millrace.mounts" . | nindent 12 }}
        {{- with $values.sidecars }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      volumes:
        {{- include "millrace.volumes" . | nindent 8 }}
        {{- if not $values.persistence.enabled }}
        - name: data
          emptyDir: {}
        {{- else if $values.persistence.existingClaim }}
        - name: data
          persistentVolumeClaim:
            claimName: {{ $values.persistence.existingClaim | quote }}
        {{- end }}
  {{- if and $values.persistence.enabled (not $values.persistence.existingClaim) }}
  volumeClaimTemplates:
    # A block device of the pod's own: LMDB maps its files, which network file systems break.
    - apiVersion: v1
      kind: PersistentVolumeClaim
      metadata:
        name: data
        labels:
          {{- include "millrace.selectorLabels" . | nindent 10 }}
        {{- with $values.persistence.annotations }}
        annotations:
          {{- toYaml . | nindent 10 }}
        {{- end }}
      spec:
        accessModes:
          {{- toYaml $values.persistence.accessModes | nindent 10 }}
        {{- if $values.persistence.storageClass }}
        storageClassName: {{ ternary "" $values.persistence.storageClass (eq $values.persistence.storageClass "-") | quote }}
        {{- end }}
        resources:
          requests:
            storage: {{ $values.persistence.size }}
  {{- end }}
---
# Others have to find a silo before it is ready.
apiVersion: v1
kind: Service
metadata:
  name: {{ $name | quote }}
  namespace: {{ $root.Release.Namespace | quote }}
  labels:
    {{- include "millrace.labels" . | nindent 4 }}
spec:
  clusterIP: None
  publishNotReadyAddresses: true
  selector:
    {{- include "millrace.selectorLabels" . | nindent 4 }}
  ports:
    - {name: {{ include "millrace.scheme" . }}, port: 8400, targetPort: http, appProtocol: {{ include "millrace.scheme" . }}}
    {{- if not (include "millrace.isAlone" $root) }}
    - {name: links, port: 8401, targetPort: links, appProtocol: {{ ternary "tls" "tcp" (ne (include "millrace.hasTls" $root) "") }}}
    {{- end }}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ $name | quote }}
  namespace: {{ $root.Release.Namespace | quote }}
  labels:
    {{- include "millrace.labels" . | nindent 4 }}
data:
  millrace.yaml: |
    {{- include "millrace.config" . | trim | nindent 4 }}
{{- if and $values.pdb.enabled (gt (int $values.replicaCount) 1) }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ $name | quote }}
  namespace: {{ $root.Release.Namespace | quote }}
  labels:
    {{- include "millrace.labels" . | nindent 4 }}
spec:
  maxUnavailable: {{ $values.pdb.maxUnavailable }}
  {{- include "millrace.eviction" $root | nindent 2 }}
  selector:
    matchLabels:
      {{- include "millrace.selectorLabels" . | nindent 6 }}
{{- end }}
{{- end }}

{{/* A pod that is not ready may be evicted in any case; the field is known since 1.27. */}}
{{- define "millrace.eviction" -}}
{{- if semverCompare ">=1.27.0-0" .Capabilities.KubeVersion.Version -}}
unhealthyPodEvictionPolicy: AlwaysAllow
{{- end -}}
{{- end }}
