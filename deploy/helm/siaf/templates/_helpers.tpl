{{- define "siaf.labels" -}}
app.kubernetes.io/part-of: siaf-cvat
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- /* The image called NAME: dict "root" $ "name" "siaf-cvat" "device" "cpu" */}}
{{- define "siaf.image" -}}
{{- $image := .root.Values.image -}}
{{- $tag := $image.tag | default (printf "%s-%s" .root.Chart.AppVersion .device) -}}
{{- with $image.registry }}{{ trimSuffix "/" . }}/{{ end }}{{ .name }}:{{ $tag }}
{{- end }}

{{- define "siaf.pod" -}}
automountServiceAccountToken: false
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "siaf.container" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}
