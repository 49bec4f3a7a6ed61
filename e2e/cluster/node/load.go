package node

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"postern.dev/e2e/cluster/oci"
)

// Load imports image archives into the node's containerd. One that is there already costs nothing.
func (l Layout) Load(ctx context.Context, archives []string) error {
	unlock, err := l.Lock()
	if err != nil {
		return err
	}
	defer unlock()
	return l.load(ctx, archives)
}

// loadWhenReady is load for a node that is just starting.
func (l Layout) loadWhenReady(ctx context.Context, archives []string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	ready := accepts("unix", l.containerdSocket())
	for {
		err := ready(ctx)
		if err == nil {
			return l.load(ctx, archives)
		}
		select {
		case <-ctx.Done():
			return l.explain("containerd", err)
		case <-time.After(pollInterval):
		}
	}
}

func (l Layout) load(ctx context.Context, archives []string) error {
	present, err := l.images(ctx)
	if err != nil {
		return err
	}
	for _, archive := range archives {
		images, err := oci.Images(archive)
		if err != nil {
			return err
		}
		missing := false
		for _, image := range images {
			missing = missing || present[image.Name] != image.Digest
		}
		if !missing {
			continue
		}
		if _, err := l.ctr(ctx, "images", "import", archive); err != nil {
			return fmt.Errorf("load %s: %w", archive, err)
		}
	}
	return nil
}

// images maps the names of the images that containerd has to their digests.
func (l Layout) images(ctx context.Context) (map[string]string, error) {
	output, err := l.ctr(ctx, "images", "list")
	if err != nil {
		return nil, err
	}
	images := make(map[string]string)
	for line := range strings.Lines(output) {
		// REF TYPE DIGEST SIZE PLATFORMS LABELS
		if fields := strings.Fields(line); len(fields) > 2 {
			images[fields[0]] = fields[2]
		}
	}
	return images, nil
}

func (l Layout) ctr(ctx context.Context, arguments ...string) (string, error) {
	command := exec.CommandContext(ctx, "ctr", append([]string{"--address", l.containerdSocket(), "--namespace", "k8s.io"}, arguments...)...)
	var errors strings.Builder
	command.Stderr = &errors
	output, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("ctr %s: %w: %s", strings.Join(arguments, " "), err, strings.TrimSpace(errors.String()))
	}
	return string(output), nil
}
