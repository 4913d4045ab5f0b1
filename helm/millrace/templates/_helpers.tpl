{{/*
Names. 40 characters leave room for what Kubernetes appends: a StatefulSet's name and the hash of a
revision share a label of 63, and so do a Deployment's, a hash and five letters.
*/}}
{{- define "millrace.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{- define "millrace.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "millrace.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "millrace.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{- define "millrace.selectorLabels" -}}
app.kubernetes.io/name: {{ include "millrace.name" .root | quote }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* Of pods: what an upgrade of the chart alone leaves as it is, or it would restart them all. */}}
{{- define "millrace.podLabels" -}}
{{- $own := printf "%s\napp.kubernetes.io/part-of: millrace" (include "millrace.selectorLabels" .) -}}
{{- toYaml (mergeOverwrite (fromYaml $own) .root.Values.commonLabels (index .root.Values .component).podLabels) -}}
{{- end }}

{{/* dict "root" $ "component" "silo" */}}
{{- define "millrace.ownLabels" -}}
{{ include "millrace.selectorLabels" . }}
app.kubernetes.io/part-of: millrace
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{/* The same, and "more" labels, if there are any. What values say goes before, and no key is there twice. */}}
{{- define "millrace.labels" -}}
{{- toYaml (mergeOverwrite (fromYaml (include "millrace.ownLabels" .)) .root.Values.commonLabels (default dict .more)) -}}
{{- end }}

{{- define "millrace.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "millrace.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end }}

{{/* dict "root" $ "image" .Values.image "tag" .Chart.AppVersion: the digest before the tag */}}
{{- define "millrace.image" -}}
{{- $registry := default .image.registry .root.Values.global.imageRegistry -}}
{{- $name := ternary (printf "%s/%s" $registry .image.repository) .image.repository (ne $registry "") -}}
{{- if .image.digest -}}
{{- printf "%s@%s" $name .image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name (default .tag .image.tag) -}}
{{- end -}}
{{- end }}

{{- define "millrace.pullSecrets" -}}
{{- with concat .Values.global.imagePullSecrets .Values.imagePullSecrets | uniq }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
{{- end }}

{{/* Where the silos find each other: an etcd's addresses, or a directory of the only silo. */}}
{{- define "millrace.coordination" -}}
{{- if .Values.coordination.endpoints -}}
{{- join "," .Values.coordination.endpoints -}}
{{- else if .Values.etcd.enabled -}}
{{- $names := list -}}
{{- range until (int .Values.etcd.replicaCount) -}}
{{- $names = append $names (printf "http://%s:2379" (include "millrace.podAddress" (dict "root" $ "component" "etcd" "pod" (printf "%s-etcd-%d" (include "millrace.fullname" $) .)))) -}}
{{- end -}}
{{- join "," $names -}}
{{- else -}}
local:/var/lib/millrace/coordination
{{- end -}}
{{- end }}

{{- define "millrace.isAlone" -}}
{{- if not (or .Values.coordination.endpoints .Values.etcd.enabled) }}true{{ end -}}
{{- end }}

{{/* The name of a pod behind its headless service: dict "root" $ "component" "silo" "pod" "$(POD_NAME)" */}}
{{- define "millrace.podAddress" -}}
{{- printf "%s.%s-%s.%s.svc.%s" .pod (include "millrace.fullname" .root) .component .root.Release.Namespace .root.Values.clusterDomain -}}
{{- end }}

{{/* Gateways speak TLS over HTTP. The other pods answer in the clear: probes, Prometheus, backups. */}}
{{- define "millrace.hasHttps" -}}
{{- if and .Values.gateway.enabled .Values.gateway.tls.existingSecret }}true{{ end -}}
{{- end }}

{{/* Where clients of gateways find whom to trust. */}}
{{- define "millrace.caEnv" -}}
{{- if and (include "millrace.hasHttps" .) .Values.gateway.tls.authorityKey -}}
- name: MILLRACE_CA
  value: {{ printf "/run/millrace/https/%s" .Values.gateway.tls.authorityKey }}
{{- end -}}
{{- end }}

{{- define "millrace.server" -}}
{{- printf "%s://%s.%s.svc.%s:%d" (ternary "https" "http" (eq (include "millrace.hasHttps" .) "true")) (include "millrace.fullname" .) .Release.Namespace .Values.clusterDomain (int .Values.service.port) -}}
{{- end }}

{{- define "millrace.authoritySecret" -}}
{{- default (printf "%s-authority" (include "millrace.fullname" .)) .Values.links.tls.existingSecret -}}
{{- end }}

{{- define "millrace.accessSecret" -}}
{{- default (printf "%s-access" (include "millrace.fullname" .)) .Values.access.existingSecret -}}
{{- end }}

{{/* Who a command of the program is. */}}
{{- define "millrace.tokenEnv" -}}
{{- if .Values.access.enabled -}}
- name: MILLRACE_API_TOKEN
  valueFrom: {secretKeyRef: {name: {{ include "millrace.accessSecret" . | quote }}, key: {{ .Values.access.tokenKey | quote }}}}
{{- end -}}
{{- end }}

{{- define "millrace.hasTls" -}}
{{- if and .Values.links.tls.enabled (not (include "millrace.isAlone" .)) }}true{{ end -}}
{{- end }}

{{/* One setting of the program's file. Helm reads whole numbers as floating ones. */}}
{{- define "millrace.setting" -}}
{{- if kindIs "float64" .value -}}
{{ .key }}: {{ .value | int64 }}
{{- else -}}
{{ .key }}: {{ toJson .value }}
{{- end -}}
{{- end }}

{{/* Whether tasks that run there may name files: dict "root" $ "component" "silo" */}}
{{- define "millrace.hasSecretFiles" -}}
{{- if and .root.Values.secrets.files.existingSecret (eq .component (ternary "executor" "silo" .root.Values.executor.enabled)) }}true{{ end -}}
{{- end }}

{{/* The program's file: dict "root" $ "component" "silo" */}}
{{- define "millrace.config" -}}
{{- $values := .root.Values -}}
{{- $isGateway := eq .component "gateway" -}}
{{- $all := dict -}}
{{- range $key, $value := $values.config -}}
{{- if or (not $isGateway) (has $key (list "log-format" "log-level")) }}{{ $_ := set $all $key $value }}{{ end -}}
{{- end -}}
{{- $all = merge (deepCopy (index $values .component).config) $all -}}
{{- $_ := set $all "coordination" (include "millrace.coordination" .root) -}}
{{- $_ := set $all "copies" (int64 $values.copies) -}}
{{- $_ := set $all "listen" (printf "%s:8400" $values.bindAddress) -}}
{{- if and $isGateway (include "millrace.hasHttps" .root) -}}
{{- $_ := set $all "tls-certificate" (printf "/run/millrace/https/%s" $values.gateway.tls.certificateKey) -}}
{{- $_ := set $all "tls-key" (printf "/run/millrace/https/%s" $values.gateway.tls.privateKeyKey) -}}
{{- end -}}
{{/* Without TLS and tokens the program listens beyond the loopback only when that is waived: an ingress
     in front speaks TLS, and the network policies let in who belongs here. */}}
{{- if not (and $values.access.enabled (hasKey $all "tls-certificate")) }}{{ $_ := set $all "insecure" true }}{{ end -}}
{{- if $values.access.enabled }}{{ $_ := set $all "root-token" "/run/millrace/access/token" }}{{ end -}}
{{- if $values.secrets.existingSecret }}{{ $_ := set $all "secrets-key" "/run/millrace/secrets-key/keys" }}{{ end -}}
{{- if include "millrace.hasSecretFiles" . }}{{ $_ := set $all "secrets-directory" "/run/millrace/secrets" }}{{ end -}}
{{- if not $isGateway -}}
{{- $_ := set $all "data" "/var/lib/millrace/data" -}}
{{/* A silo by itself has no links; its default, a port of the loopback, is for nobody. */}}
{{- if not (include "millrace.isAlone" .root) }}{{ $_ := set $all "links" (printf "%s:8401" $values.bindAddress) }}{{ end -}}
{{- if eq .component "executor" }}{{ $_ := set $all "roles" "execute" }}
{{- else if $values.executor.enabled }}{{ $_ := set $all "roles" "state" }}{{ end -}}
{{- else -}}
{{- $_ := set $all "data" "/tmp/millrace" -}}
{{- end -}}
{{- if include "millrace.hasTls" .root -}}
{{- $_ := set $all "certificate-authority" "/run/millrace/pki/ca.pem" -}}
{{- else if not (include "millrace.isAlone" .root) -}}
{{- $_ := set $all "plain-links" true -}}
{{- end -}}
{{- if not (include "millrace.isAlone" .root) -}}
{{- $_ := set $all "etcd-prefix" (default (printf "/millrace/%s/%s/" .root.Release.Namespace (include "millrace.fullname" .root)) $values.coordination.prefix) -}}
{{- end -}}
{{- with $values.tracing.endpoint -}}
{{- $_ := set $all "trace-to" . -}}
{{- $_ := set $all "trace-sample" (toString $values.tracing.sampleRatio) -}}
{{- end -}}
{{- with $values.coordination.user }}{{ $_ := set $all "etcd-user" . }}{{ end -}}
{{- with $values.coordination.tls -}}
{{- if .existingSecret -}}
{{- with .authorityKey }}{{ $_ := set $all "etcd-certificate-authority" (printf "/run/millrace/etcd/%s" .) }}{{ end -}}
{{- with .certificateKey }}{{ $_ := set $all "etcd-certificate" (printf "/run/millrace/etcd/%s" .) }}{{ end -}}
{{- with .privateKeyKey }}{{ $_ := set $all "etcd-key" (printf "/run/millrace/etcd/%s" .) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- range $key, $value := $all }}
{{ include "millrace.setting" (dict "key" $key "value" $value) }}
{{- end }}
{{- end }}

{{/* What a pod is, which no file can say. The environment goes before the file. */}}
{{- define "millrace.env" -}}
{{- $root := .root -}}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: MILLRACE_NAME
  value: $(POD_NAME)
{{- if not (or (eq .component "gateway") (include "millrace.isAlone" $root)) }}
- name: MILLRACE_ADVERTISE
  value: {{ printf "%s:8401" (include "millrace.podAddress" (dict "root" $root "component" .component "pod" "$(POD_NAME)")) }}
{{- end }}
- name: MILLRACE_SERVER
  value: {{ if and (eq .component "gateway") (include "millrace.hasHttps" $root) }}{{ include "millrace.server" $root }}{{ else }}http://127.0.0.1:8400{{ end }}
{{- if eq .component "gateway" }}
{{- with include "millrace.caEnv" $root }}
{{ . }}
{{- end }}
{{- end }}
{{- with include "millrace.tokenEnv" $root }}
{{ . }}
{{- end }}
{{- if include "millrace.hasTls" $root }}
{{- $role := ternary "gateway" "silo" (eq .component "gateway") }}
- name: MILLRACE_CERTIFICATE
  value: /run/millrace/pki/{{ $role }}.$(POD_NAME).pem
- name: MILLRACE_KEY
  value: /run/millrace/pki/{{ $role }}.$(POD_NAME).key
{{- end }}
{{- with $root.Values.coordination }}
{{- if .existingSecret }}
- name: MILLRACE_ETCD_PASSWORD
  valueFrom: {secretKeyRef: {name: {{ .existingSecret | quote }}, key: {{ .existingSecretPasswordKey | quote }}}}
{{- end }}
{{- end }}
{{- with (index $root.Values .component).extraEnvVars }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "millrace.mounts" -}}
{{- $root := .root -}}
- name: config
  mountPath: /etc/millrace
  readOnly: true
- name: tmp
  mountPath: /tmp
{{- if $root.Values.access.enabled }}
- name: access
  mountPath: /run/millrace/access
  readOnly: true
{{- end }}
{{- if $root.Values.secrets.existingSecret }}
- name: secrets-key
  mountPath: /run/millrace/secrets-key
  readOnly: true
{{- end }}
{{- if include "millrace.hasSecretFiles" . }}
- name: secrets
  mountPath: /run/millrace/secrets
  readOnly: true
{{- end }}
{{- if include "millrace.hasTls" $root }}
- name: pki
  mountPath: /run/millrace/pki
  readOnly: true
{{- end }}
{{- if and (eq .component "gateway") (include "millrace.hasHttps" $root) }}
- name: https
  mountPath: /run/millrace/https
  readOnly: true
{{- end }}
{{- if $root.Values.coordination.tls.existingSecret }}
- name: etcd-tls
  mountPath: /run/millrace/etcd
  readOnly: true
{{- end }}
{{- with (index $root.Values .component).extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "millrace.volumes" -}}
{{- $root := .root -}}
- name: config
  configMap:
    name: {{ include "millrace.fullname" $root }}-{{ .component }}
- name: tmp
  emptyDir: {}
{{- if $root.Values.access.enabled }}
- name: access
  secret:
    secretName: {{ include "millrace.accessSecret" $root | quote }}
    defaultMode: 0440
    items:
      - {key: {{ $root.Values.access.tokenKey | quote }}, path: token}
{{- end }}
{{- with $root.Values.secrets.existingSecret }}
- name: secrets-key
  secret:
    secretName: {{ . | quote }}
    defaultMode: 0440
    items:
      - {key: {{ $root.Values.secrets.keysKey | quote }}, path: keys}
{{- end }}
{{- if include "millrace.hasSecretFiles" . }}
- name: secrets
  secret:
    secretName: {{ $root.Values.secrets.files.existingSecret | quote }}
    defaultMode: 0440
{{- end }}
{{- if include "millrace.hasTls" $root }}
- name: pki
  emptyDir: {medium: Memory, sizeLimit: 1Mi}
- name: authority
  secret:
    secretName: {{ include "millrace.authoritySecret" $root | quote }}
    defaultMode: 0440
    items:
      - {key: {{ $root.Values.links.tls.certificateKey | quote }}, path: ca.pem}
      - {key: {{ $root.Values.links.tls.privateKeyKey | quote }}, path: ca.key}
{{- end }}
{{- if and (eq .component "gateway") (include "millrace.hasHttps" $root) }}
- name: https
  secret:
    secretName: {{ $root.Values.gateway.tls.existingSecret | quote }}
    defaultMode: 0440
{{- end }}
{{- with $root.Values.coordination.tls.existingSecret }}
- name: etcd-tls
  secret:
    secretName: {{ . | quote }}
    defaultMode: 0440
{{- end }}
{{- with (index $root.Values .component).extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/*
Each pod has a certificate of its own name, made when it starts. The authority's key is there for
this container only; its copy is gone before the program starts. An earlier try may have left files.
*/}}
{{- define "millrace.initContainers" -}}
{{- $root := .root -}}
{{- $values := index $root.Values .component -}}
{{- if include "millrace.hasTls" $root }}
- name: certificate
  image: {{ include "millrace.image" (dict "root" $root "image" $root.Values.image "tag" $root.Chart.AppVersion) }}
  imagePullPolicy: {{ $root.Values.image.pullPolicy }}
  command:
    - /bin/sh
    - -ec
    - |
      cd /run/millrace/pki
      rm -f ./*
      cp /run/millrace/authority/ca.pem /run/millrace/authority/ca.key .
      millrace pki issue --directory . --{{ ternary "gateway" "silo" (eq .component "gateway") }} "$POD_NAME" --days {{ int $root.Values.links.tls.certificateDays }}
      rm -f ca.key
  env:
    - name: POD_NAME
      valueFrom: {fieldRef: {fieldPath: metadata.name}}
  securityContext:
    {{- toYaml $root.Values.containerSecurityContext | nindent 4 }}
  resources:
    {{- toYaml $root.Values.links.tls.resources | nindent 4 }}
  volumeMounts:
    - name: pki
      mountPath: /run/millrace/pki
    - name: authority
      mountPath: /run/millrace/authority
      readOnly: true
{{- end }}
{{- with $values.initContainers }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* What all pods of the program have: placement and rights. */}}
{{- define "millrace.podSpec" -}}
{{- $root := .root -}}
{{- $values := index $root.Values .component -}}
{{- $labels := include "millrace.selectorLabels" . -}}
serviceAccountName: {{ include "millrace.serviceAccountName" $root | quote }}
automountServiceAccountToken: {{ $root.Values.serviceAccount.automount }}
enableServiceLinks: false
{{- with include "millrace.pullSecrets" $root }}
{{- . }}
{{- end }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
securityContext:
  {{- toYaml $root.Values.podSecurityContext | nindent 2 }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if $values.affinity }}
affinity:
  {{- toYaml $values.affinity | nindent 2 }}
{{- else if eq $values.podAntiAffinityPreset "hard" }}
affinity:
  podAntiAffinity:
    requiredDuringSchedulingIgnoredDuringExecution:
      - topologyKey: kubernetes.io/hostname
        labelSelector:
          matchLabels:
            {{- $labels | nindent 12 }}
{{- else if eq $values.podAntiAffinityPreset "soft" }}
affinity:
  podAntiAffinity:
    preferredDuringSchedulingIgnoredDuringExecution:
      - weight: 100
        podAffinityTerm:
          topologyKey: kubernetes.io/hostname
          labelSelector:
            matchLabels:
              {{- $labels | nindent 14 }}
{{- end }}
topologySpreadConstraints:
{{- if $values.topologySpreadConstraints }}
  {{- toYaml $values.topologySpreadConstraints | nindent 2 }}
{{- else }}
  - maxSkew: 1
    topologyKey: topology.kubernetes.io/zone
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- $labels | nindent 8 }}
{{- end }}
{{- end }}

{{/* Alive: the server answers. Ready: so do disk and executor. Neither asks the other silos. */}}
{{- define "millrace.probes" -}}
{{- range $name, $path := dict "startupProbe" "/livez" "livenessProbe" "/livez" "readinessProbe" "/readyz" }}
{{ $name }}:
  httpGet: {path: {{ $path }}, port: http{{ if $.scheme }}, scheme: {{ $.scheme }}{{ end }}}
  {{- toYaml (index $.values $name) | nindent 2 }}
{{- end }}
{{- end }}

{{- define "millrace.checksum" -}}
checksum/config: {{ include "millrace.config" . | sha256sum }}
{{- end }}

{{/* Pods of jobs and tests: the program as a client. */}}
{{- define "millrace.clientPod" -}}
restartPolicy: Never
serviceAccountName: {{ include "millrace.serviceAccountName" .root | quote }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with include "millrace.pullSecrets" .root }}
{{- . }}
{{- end }}
securityContext:
  {{- toYaml .root.Values.podSecurityContext | nindent 2 }}
{{- end }}

{{/* For clients: the authority of the gateways' certificate, not their key. */}}
{{- define "millrace.clientMounts" -}}
{{- if include "millrace.caEnv" . -}}
- {name: https, mountPath: /run/millrace/https, readOnly: true}
{{- end -}}
{{- end }}

{{- define "millrace.clientVolumes" -}}
{{- if include "millrace.caEnv" . -}}
- name: https
  secret:
    secretName: {{ .Values.gateway.tls.existingSecret | quote }}
    defaultMode: 0440
    items:
      - {key: {{ .Values.gateway.tls.authorityKey | quote }}, path: {{ .Values.gateway.tls.authorityKey | quote }}}
{{- end -}}
{{- end }}

{{- define "millrace.clientContainer" -}}
image: {{ include "millrace.image" (dict "root" .root "image" .root.Values.image "tag" .root.Chart.AppVersion) }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
securityContext:
  {{- toYaml .root.Values.containerSecurityContext | nindent 2 }}
resources:
  limits: {memory: 128Mi}
  requests: {cpu: 50m, memory: 128Mi}
{{- end }}

{{/* Pods of these components of this release, for network policies. */}}
{{- define "millrace.peers" -}}
- podSelector:
    matchLabels:
      {{- toYaml .release | nindent 6 }}
    matchExpressions:
      - key: app.kubernetes.io/component
        operator: In
        values:
          {{- toYaml .components | nindent 10 }}
{{- end }}

{{- define "millrace.dns" -}}
- ports:
    - {port: 53, protocol: UDP}
    - {port: 53, protocol: TCP}
{{- end }}
