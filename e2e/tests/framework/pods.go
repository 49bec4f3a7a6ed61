package framework

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/remotecommand"
)

// ProbePort is where probe pods serve.
const ProbePort = 8080

// ProbePod is the specification of a pod that runs `probe serve`. It is ready as soon as it answers.
func ProbePod(volumes ...corev1.Volume) corev1.PodSpec {
	var grace, nonRoot = int64(1), true
	var mounts []corev1.VolumeMount
	for _, volume := range volumes {
		mounts = append(mounts, corev1.VolumeMount{Name: volume.Name, MountPath: "/mnt/" + volume.Name, ReadOnly: true})
	}
	return corev1.PodSpec{
		TerminationGracePeriodSeconds: &grace,
		Volumes:                       volumes,
		Containers: []corev1.Container{{
			Name:            "probe",
			Image:           ProbeImage,
			ImagePullPolicy: corev1.PullIfNotPresent,
			Args:            []string{"serve", fmt.Sprintf(":%d", ProbePort)},
			Ports:           []corev1.ContainerPort{{ContainerPort: ProbePort}},
			VolumeMounts:    mounts,
			ReadinessProbe: &corev1.Probe{
				PeriodSeconds: 1,
				ProbeHandler:  corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/name", Port: intstr.FromInt32(ProbePort)}},
			},
			SecurityContext: &corev1.SecurityContext{RunAsNonRoot: &nonRoot},
		}},
	}
}

// RunPod creates a pod and waits until it is ready.
func (e *Env) RunPod(name string, spec corev1.PodSpec) *corev1.Pod {
	e.T.Helper()
	return e.runPod(name, map[string]string{"app": name}, spec)
}

// RunPodLabelled is the same with a probe pod that has these labels.
func (e *Env) RunPodLabelled(name string, labels map[string]string) *corev1.Pod {
	e.T.Helper()
	return e.runPod(name, labels, ProbePod())
}

func (e *Env) runPod(name string, labels map[string]string, spec corev1.PodSpec) *corev1.Pod {
	e.T.Helper()
	pods := e.Client.CoreV1().Pods(e.Namespace)
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}, Spec: spec}
	if _, err := pods.Create(e.T.Context(), pod, metav1.CreateOptions{}); err != nil {
		e.T.Fatalf("create pod %s: %v", name, err)
	}
	e.Eventually("pod "+name, func(ctx context.Context) error {
		var err error
		if pod, err = pods.Get(ctx, name, metav1.GetOptions{}); err != nil {
			return err
		}
		for _, condition := range pod.Status.Conditions {
			if condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue {
				return nil
			}
		}
		return fmt.Errorf("not ready: %s", describeContainers(pod))
	})
	return pod
}

func describeContainers(pod *corev1.Pod) string {
	states := []string{string(pod.Status.Phase)}
	for _, status := range pod.Status.ContainerStatuses {
		if waiting := status.State.Waiting; waiting != nil {
			states = append(states, waiting.Reason, waiting.Message)
		}
		if ended := status.State.Terminated; ended != nil {
			states = append(states, ended.Reason, ended.Message)
		}
	}
	return strings.Join(states, " ")
}

// RunDeployment creates a Deployment and waits until all of its pods are ready.
func (e *Env) RunDeployment(name string, replicas int32, spec corev1.PodSpec) {
	e.T.Helper()
	labels := map[string]string{"app": name}
	deployments := e.Client.AppsV1().Deployments(e.Namespace)
	_, err := deployments.Create(e.T.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: spec},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		e.T.Fatalf("create deployment %s: %v", name, err)
	}
	e.Eventually("deployment "+name, func(ctx context.Context) error {
		deployment, err := deployments.Get(ctx, name, metav1.GetOptions{})
		if err == nil && deployment.Status.ReadyReplicas != replicas {
			err = fmt.Errorf("%d of %d pods are ready", deployment.Status.ReadyReplicas, replicas)
		}
		return err
	})
}

// Ask puts a question of e2e/cluster/probe to a probe pod, by way of the apiserver.
func (e *Env) Ask(ctx context.Context, pod, question, parameter, value string) (string, error) {
	request := e.Client.CoreV1().RESTClient().Get().Namespace(e.Namespace).Resource("pods").
		Name(fmt.Sprintf("%s:%d", pod, ProbePort)).SubResource("proxy").Suffix(question)
	if parameter != "" {
		request = request.Param(parameter, value)
	}
	body, err := request.DoRaw(ctx)
	if err != nil {
		// The answer of a question that failed says why; the error only says that it did.
		return "", fmt.Errorf("%w: %s", err, bytes.TrimSpace(body))
	}
	return string(body), nil
}

// Exec runs a command in a pod's only container and returns what it printed.
func (e *Env) Exec(ctx context.Context, pod string, command ...string) (stdout, stderr string, err error) {
	request := e.Client.CoreV1().RESTClient().Post().Namespace(e.Namespace).Resource("pods").Name(pod).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{Command: command, Stdout: true, Stderr: true}, scheme.ParameterCodec)
	executor, err := remotecommand.NewWebSocketExecutor(e.Config, "GET", request.URL().String())
	if err != nil {
		return "", "", err
	}
	var out, errors bytes.Buffer
	err = executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: &out, Stderr: &errors})
	return out.String(), errors.String(), err
}

// Logs returns what a pod's only container has printed.
func (e *Env) Logs(ctx context.Context, pod string) (string, error) {
	text, err := e.Client.CoreV1().Pods(e.Namespace).GetLogs(pod, &corev1.PodLogOptions{}).DoRaw(ctx)
	return string(text), err
}

// ErrNoAddress is that a Service of type LoadBalancer has no address yet.
var ErrNoAddress = errors.New("no address")
