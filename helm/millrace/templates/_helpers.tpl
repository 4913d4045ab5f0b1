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
{{- $names = append $names (printf "%s://%s:2379" (include "millrace.etcdScheme" $) (include "millrace.podAddress" (dict "root" $ "component" "etcd" "pod" (printf "%s-etcd-%d" (include "millrace.fullname" $) .)))) -}}
{{- end -}}
{{- join "," $names -}}
{{- else -}}
local:/var/lib/millrace/coordination
{{- end -}}
{{- end }}

{{/* The chart's etcd lets in who has a certificate of the links' authority. */}}
{{- define "millrace.etcdScheme" -}}
{{- ternary "https" "http" (and .Values.etcd.enabled .Values.etcd.tls.enabled) -}}
{{- end }}

{{- define "millrace.isAlone" -}}
{{- if not (or .Values.coordination.endpoints .Values.etcd.enabled) }}true{{ end -}}
{{- end }}

{{/* The name of a pod behind its headless service: dict "root" $ "component" "silo" "pod" "$(POD_NAME)" */}}
{{- define "millrace.podAddress" -}}
{{- printf "%s.%s-%s.%s.svc.%s" .pod (include "millrace.fullname" .root) .component .root.Release.Namespace .root.Values.clusterDomain -}}
{{- end }}

{{/* Who serves clients. */}}
{{- define "millrace.front" -}}
{{- ternary "gateway" "silo" .Values.gateway.enabled -}}
{{- end }}

{{/* Gateways may have a certificate from elsewhere: dict "root" $ "component" "silo" */}}
{{- define "millrace.hasForeignCertificate" -}}
{{- if and (eq .component "gateway") .root.Values.gateway.tls.existingSecret }}true{{ end -}}
{{- end }}

{{/* What a component speaks on its port: dict "root" $ "component" "silo" */}}
{{- define "millrace.scheme" -}}
{{- ternary "https" "http" (or .root.Values.https.enabled (ne (include "millrace.hasForeignCertificate" .) "")) -}}
{{- end }}

{{- define "millrace.hasHttps" -}}
{{- if eq (include "millrace.scheme" (dict "root" . "component" (include "millrace.front" .))) "https" }}true{{ end -}}
{{- end }}

{{/* The Secret and its key by which clients know a component; nothing: by what their system trusts, or not at all. */}}
{{- define "millrace.trust" -}}
{{- if include "millrace.hasForeignCertificate" . -}}
{{- with .root.Values.gateway.tls.authorityKey }}{name: {{ $.root.Values.gateway.tls.existingSecret | quote }}, key: {{ . | quote }}}{{ end -}}
{{- else if eq (include "millrace.scheme" .) "https" -}}
{name: {{ include "millrace.authoritySecret" .root | quote }}, key: {{ .root.Values.links.tls.certificateKey | quote }}}
{{- end -}}
{{- end }}

{{/* What a pod's own certificate is for, beside its link. An executor, where tasks run, is never the name that clients use. */}}
{{- define "millrace.addresses" -}}
{{- $name := include "millrace.fullname" .root -}}
{{- $domain := printf "%s.svc.%s" .root.Release.Namespace .root.Values.clusterDomain -}}
{{- $all := list "localhost" "127.0.0.1" -}}
{{- if ne .component "gateway" }}{{ $all = append $all (printf "%s-%s.%s" $name .component $domain) }}{{ $all = append $all (include "millrace.podAddress" (dict "root" .root "component" .component "pod" "$POD_NAME")) }}{{ end -}}
{{- if eq .component (include "millrace.front" .root) }}{{ $all = concat $all (list (printf "%s.%s" $name $domain) (printf "%s.%s.svc" $name .root.Release.Namespace) (printf "%s.%s" $name .root.Release.Namespace) $name) .root.Values.https.addresses }}{{ end -}}
{{- range $all }} --address "{{ . }}"{{ end -}}
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

{{/* Where the token that may do everything is: in no executor, which runs what anybody's definition says.
     dict "root" $ "component" "silo" */}}
{{- define "millrace.hasToken" -}}
{{- if and .root.Values.access.enabled (ne .component "executor") }}true{{ end -}}
{{- end }}

{{/* An executor asks for a token, too, or its tasks could do everything by its API: for one that nobody has. */}}
{{- define "millrace.hasOwnToken" -}}
{{- if and .root.Values.access.enabled (eq .component "executor") }}true{{ end -}}
{{- end }}

{{/* Who a command of the program is. */}}
{{- define "millrace.tokenEnv" -}}
{{- if .Values.access.enabled -}}
- name: MILLRACE_API_TOKEN
  valueFrom: {secretKeyRef: {name: {{ include "millrace.accessSecret" . | quote }}, key: {{ .Values.access.tokenKey | quote }}}}
{{- end -}}
{{- end }}

{{/* Pods make certificates of their own, for links, HTTPS, etcd, or all of them. */}}
{{- define "millrace.hasPki" -}}
{{- if or .Values.https.enabled (include "millrace.hasTls" .) (eq (include "millrace.etcdScheme" .) "https") }}true{{ end -}}
{{- end }}

{{/* As what a pod has its certificate: dict "root" $ "component" "silo" */}}
{{- define "millrace.role" -}}
{{- ternary "silo" "gateway" (has .component (list "silo" "executor")) -}}
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
{{- if or (not $isGateway) (has $key (list "connections" "log-format" "log-level" "rate-limit" "trace-ca" "trusted-proxy")) }}{{ $_ := set $all $key $value }}{{ end -}}
{{- end -}}
{{- $all = merge (deepCopy (index $values .component).config) $all -}}
{{- $_ := set $all "coordination" (include "millrace.coordination" .root) -}}
{{- $_ := set $all "copies" (int64 $values.copies) -}}
{{- $_ := set $all "listen" (printf "%s:8400" $values.bindAddress) -}}
{{- if include "millrace.hasForeignCertificate" . -}}
{{- $_ := set $all "tls-certificate" (printf "/run/millrace/https/%s" $values.gateway.tls.certificateKey) -}}
{{- $_ := set $all "tls-key" (printf "/run/millrace/https/%s" $values.gateway.tls.privateKeyKey) -}}
{{- end -}}
{{/* Without TLS and tokens the program listens beyond the loopback only when that is waived, which
     https.enabled=false and access.enabled=false are. */}}
{{- if not (and $values.access.enabled (eq (include "millrace.scheme" .) "https")) }}{{ $_ := set $all "insecure" true }}{{ end -}}
{{- if include "millrace.hasToken" . }}{{ $_ := set $all "root-token" "/run/millrace/access/token" }}{{ end -}}
{{- if include "millrace.hasOwnToken" . }}{{ $_ := set $all "root-token" "/tmp/millrace-token" }}{{ end -}}
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
{{- if eq (include "millrace.etcdScheme" .root) "https" }}{{ $_ := set $all "etcd-certificate-authority" "/run/millrace/pki/ca.pem" }}{{ end -}}
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
  value: {{ if include "millrace.hasForeignCertificate" . }}{{ include "millrace.server" $root }}{{ else }}{{ include "millrace.scheme" . }}://127.0.0.1:8400{{ end }}
{{- if include "millrace.trust" . }}
- name: MILLRACE_CA
  value: {{ ternary (printf "/run/millrace/https/%s" $root.Values.gateway.tls.authorityKey) "/run/millrace/pki/ca.pem" (ne (include "millrace.hasForeignCertificate" .) "") }}
{{- end }}
{{- if include "millrace.hasToken" . }}
{{ include "millrace.tokenEnv" $root }}
{{- end }}
{{- $role := include "millrace.role" . }}
{{- if and $root.Values.https.enabled (not (include "millrace.hasForeignCertificate" .)) }}
- name: MILLRACE_TLS_CERTIFICATE
  value: /run/millrace/pki/{{ $role }}.$(POD_NAME).pem
- name: MILLRACE_TLS_KEY
  value: /run/millrace/pki/{{ $role }}.$(POD_NAME).key
{{- end }}
{{- if include "millrace.hasTls" $root }}
- name: MILLRACE_CERTIFICATE
  value: /run/millrace/pki/{{ $role }}.$(POD_NAME).pem
- name: MILLRACE_KEY
  value: /run/millrace/pki/{{ $role }}.$(POD_NAME).key
{{- end }}
{{- if eq (include "millrace.etcdScheme" $root) "https" }}
- name: MILLRACE_ETCD_CERTIFICATE
  value: /run/millrace/pki/{{ $role }}.$(POD_NAME).pem
- name: MILLRACE_ETCD_KEY
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
{{- if include "millrace.hasToken" . }}
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
{{- if include "millrace.hasPki" $root }}
- name: pki
  mountPath: /run/millrace/pki
  readOnly: true
{{- end }}
{{- if include "millrace.hasForeignCertificate" . }}
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

{{- define "millrace.pkiVolumes" -}}
- name: pki
  emptyDir: {medium: Memory, sizeLimit: 1Mi}
- name: authority
  secret:
    secretName: {{ include "millrace.authoritySecret" . | quote }}
    defaultMode: 0440
    items:
      - {key: {{ .Values.links.tls.certificateKey | quote }}, path: ca.pem}
      - {key: {{ .Values.links.tls.privateKeyKey | quote }}, path: ca.key}
{{- end }}

{{/* The group may read Secrets: their files are root's, and a pod's user has them by fsGroup alone. */}}
{{- define "millrace.volumes" -}}
{{- $root := .root -}}
- name: config
  configMap:
    name: {{ include "millrace.fullname" $root }}-{{ .component }}
- name: tmp
  emptyDir: {}
{{- if include "millrace.hasPki" $root }}
{{ include "millrace.pkiVolumes" $root }}
{{- end }}
{{- if include "millrace.hasToken" . }}
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
{{- if include "millrace.hasForeignCertificate" . }}
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
Each pod has a certificate of its own name, made when it starts; etcd's lasts as long as the authority,
since no figure tells of its end. The authority's key is there for
this container only; its copy is gone before the program starts. An earlier try may have left files.
*/}}
{{- define "millrace.initContainers" -}}
{{- $root := .root -}}
{{- $values := index $root.Values .component -}}
{{- $isEtcd := eq .component "etcd" -}}
{{- if ternary (eq (include "millrace.etcdScheme" $root) "https") (ne (include "millrace.hasPki" $root) "") $isEtcd }}
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
      millrace pki issue --directory . --{{ include "millrace.role" . }} "$POD_NAME" --days {{ ternary 36500 (int $root.Values.links.tls.certificateDays) $isEtcd }}{{ if or $isEtcd (and $root.Values.https.enabled (not (include "millrace.hasForeignCertificate" .))) }}{{ include "millrace.addresses" . }}{{ end }}
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

{{/* Alive: the server answers. Ready: so do disk and executor. Neither asks the other silos.
     dict "root" $ "component" "silo" */}}
{{- define "millrace.probes" -}}
{{- $values := index .root.Values .component -}}
{{- $scheme := include "millrace.scheme" . | upper -}}
{{- range $name, $path := dict "startupProbe" "/livez" "livenessProbe" "/livez" "readinessProbe" "/readyz" }}
{{ $name }}:
  httpGet: {path: {{ $path }}, port: http{{ if eq $scheme "HTTPS" }}, scheme: HTTPS{{ end }}}
  {{- toYaml (index $values $name) | nindent 2 }}
{{- end }}
{{- end }}

{{/* What is in the Secret of the token: what is there, else one token for all of a rendering. */}}
{{- define "millrace.accessData" -}}
{{- if not (hasKey .Values.access "made") -}}
{{- $there := lookup "v1" "Secret" .Release.Namespace (include "millrace.accessSecret" .) -}}
{{- $made := dict .Values.access.tokenKey (printf "mr_%s" (randAlphaNum 43) | b64enc) -}}
{{- if $there }}{{ $made = $there.data }}{{ end -}}
{{- $_ := set .Values.access "made" $made -}}
{{- end -}}
{{- toYaml .Values.access.made -}}
{{- end }}

{{/*
What a pod reads when it starts and never again, so that another content has it replaced. `lookup` finds
nothing where the chart is rendered without the cluster; then there is no such annotation for Secrets
that are there. Not the authority: pods of two authorities never meet, so they are replaced at once.
dict "root" $ "component" "silo"
*/}}
{{- define "millrace.checksum" -}}
{{- $values := .root.Values -}}
checksum/config: {{ include "millrace.config" . | sha256sum }}
{{- $read := list -}}
{{- if and (include "millrace.hasToken" .) (not $values.access.existingSecret) }}{{ $read = append $read (include "millrace.accessData" .root) }}{{ end -}}
{{- $names := list $values.secrets.existingSecret $values.coordination.existingSecret $values.coordination.tls.existingSecret -}}
{{- if include "millrace.hasToken" . }}{{ $names = append $names $values.access.existingSecret }}{{ end -}}
{{- range compact $names -}}
{{- with lookup "v1" "Secret" $.root.Release.Namespace . }}{{ $read = append $read (toYaml .data) }}{{ end -}}
{{- end -}}
{{- with $read }}
checksum/secrets: {{ join "\n" . | sha256sum }}
{{- end -}}
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
{{- with .root.Values.jobs.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.jobs.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* A client of a component: dict "root" $ "component" "silo" "server" "http://..." */}}
{{- define "millrace.clientEnv" -}}
- {name: MILLRACE_SERVER, value: {{ .server | quote }}}
{{- with include "millrace.tokenEnv" .root }}
{{ . }}
{{- end }}
{{- if include "millrace.trust" . }}
- {name: MILLRACE_CA, value: /run/millrace/https/ca.pem}
{{- end }}
{{- end }}

{{/* For clients: the certificate of the authority alone. */}}
{{- define "millrace.clientMounts" -}}
{{- if include "millrace.trust" . -}}
- {name: https, mountPath: /run/millrace/https, readOnly: true}
{{- end -}}
{{- end }}

{{- define "millrace.clientVolumes" -}}
{{- with include "millrace.trust" . -}}
{{- $trust := fromYaml . -}}
- name: https
  secret:
    secretName: {{ $trust.name | quote }}
    defaultMode: 0440
    items:
      - {key: {{ $trust.key | quote }}, path: ca.pem}
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
