package framework

import (
	"cmp"
	"fmt"
	"os"
)

// BackendImage is the image of e2e/backend.
var BackendImage = cmp.Or(os.Getenv("E2E_BACKEND_IMAGE"), "postern-backend:dev")

// Backend applies a Deployment of e2e/backend and its Service, port 80, and waits until all pods are ready.
func (e *Env) Backend(name string, replicas int) {
	e.T.Helper()
	e.Apply(fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s}
spec:
  replicas: %[2]d
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}}
    spec:
      terminationGracePeriodSeconds: 5
      containers:
      - name: backend
        image: %[3]s
        imagePullPolicy: IfNotPresent
        args: [--name=%[1]s]
        env: [{name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]
        ports: [{name: http, containerPort: 8080}]
        readinessProbe: {httpGet: {path: /, port: http}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: %[1]s}
spec:
  selector: {app: %[1]s}
  ports: [{name: http, port: 80, targetPort: 8080}]
`, name, replicas, BackendImage))
	e.Kubectl("-n", e.Namespace, "rollout", "status", "deployment/"+name, "--timeout=180s")
}
