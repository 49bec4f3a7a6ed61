// Package oci writes and reads image archives without a container engine.
//
// An archive is an OCI image layout in a tar, with Docker's manifest.json beside the OCI index, so that containerd, kind, podman and
// docker load all take it. Equal inputs give equal bytes: entries are sorted, times are the epoch, layers are not compressed (they
// go from one disk to the same disk).
package oci

import (
	"archive/tar"
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// File is a file of an image.
type File struct {
	// Path is absolute, as the container sees it.
	Path string
	// Source is the file on this machine; Content is used when it is empty.
	Source  string
	Content []byte
	// Mode has the permission bits.
	Mode int64
}

// Spec says what to make. The images are of one layer.
type Spec struct {
	// Names are complete image names with registry and tag; all of them name the same image.
	Names []string
	Files []File
	// User is "UID:GID".
	User       string
	Entrypoint []string
	// Labels of the image's configuration.
	Labels map[string]string
}

const (
	mediaTypeIndex    = "application/vnd.oci.image.index.v1+json"
	mediaTypeManifest = "application/vnd.oci.image.manifest.v1+json"
	mediaTypeConfig   = "application/vnd.oci.image.config.v1+json"
	mediaTypeLayer    = "application/vnd.oci.image.layer.v1.tar"

	// annotationName is what containerd imports an image as.
	annotationName = "io.containerd.image.name"
	// annotationRef is the same for tools that follow the OCI specification.
	annotationRef = "org.opencontainers.image.ref.name"

	architecture, operatingSystem = "amd64", "linux"
	indexFile                     = "index.json"
)

type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Platform    *platform         `json:"platform,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
}

type index struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Manifests     []descriptor `json:"manifests"`
}

type manifest struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Config        descriptor   `json:"config"`
	Layers        []descriptor `json:"layers"`
}

type imageConfig struct {
	Created      string         `json:"created"`
	Architecture string         `json:"architecture"`
	OS           string         `json:"os"`
	Config       runConfig      `json:"config"`
	RootFS       rootFS         `json:"rootfs"`
	History      []historyEntry `json:"history"`
}

type runConfig struct {
	User       string            `json:"User,omitempty"`
	Entrypoint []string          `json:"Entrypoint,omitempty"`
	WorkingDir string            `json:"WorkingDir"`
	Labels     map[string]string `json:"Labels,omitempty"`
}

type rootFS struct {
	Type    string   `json:"type"`
	DiffIDs []string `json:"diff_ids"`
}

type historyEntry struct {
	Created   string `json:"created"`
	CreatedBy string `json:"created_by"`
}

// dockerManifest is the entry of Docker's manifest.json.
type dockerManifest struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// Write makes the archive at that path. A file that is there already with the same content keeps its time.
func Write(archive string, spec Spec) error {
	content, err := spec.archive()
	if err != nil {
		return fmt.Errorf("image %s: %w", strings.Join(spec.Names, ", "), err)
	}
	if existing, err := os.ReadFile(archive); err == nil && bytes.Equal(existing, content) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(archive), 0o755); err != nil {
		return err
	}
	// Renamed into place so that nobody loads half of one.
	partial := archive + ".partial"
	if err := os.WriteFile(partial, content, 0o644); err != nil {
		return err
	}
	return os.Rename(partial, archive)
}

func (s Spec) archive() ([]byte, error) {
	layer, err := s.layer()
	if err != nil {
		return nil, err
	}
	epoch := time.Unix(0, 0).UTC().Format(time.RFC3339)
	config, err := json.Marshal(imageConfig{
		Created: epoch, Architecture: architecture, OS: operatingSystem,
		Config:  runConfig{User: s.User, Entrypoint: s.Entrypoint, WorkingDir: "/", Labels: s.Labels},
		RootFS:  rootFS{Type: "layers", DiffIDs: []string{digest(layer)}},
		History: []historyEntry{{Created: epoch, CreatedBy: "postern make images"}},
	})
	if err != nil {
		return nil, err
	}
	described, err := json.Marshal(manifest{
		SchemaVersion: 2, MediaType: mediaTypeManifest,
		Config: describe(mediaTypeConfig, config), Layers: []descriptor{describe(mediaTypeLayer, layer)},
	})
	if err != nil {
		return nil, err
	}
	top := index{SchemaVersion: 2, MediaType: mediaTypeIndex}
	for _, name := range s.Names {
		entry := describe(mediaTypeManifest, described)
		entry.Platform = &platform{Architecture: architecture, OS: operatingSystem}
		entry.Annotations = map[string]string{annotationName: name, annotationRef: name}
		top.Manifests = append(top.Manifests, entry)
	}
	indexed, err := json.Marshal(top)
	if err != nil {
		return nil, err
	}
	docker, err := json.Marshal([]dockerManifest{{Config: blobPath(config), RepoTags: s.Names, Layers: []string{blobPath(layer)}}})
	if err != nil {
		return nil, err
	}
	// The index comes first so that Images need not read past the layers.
	return writeTar([]entry{
		{name: indexFile, content: indexed},
		{name: "oci-layout", content: []byte(`{"imageLayoutVersion":"1.0.0"}`)},
		{name: "manifest.json", content: docker},
		{name: blobPath(described), content: described},
		{name: blobPath(config), content: config},
		{name: blobPath(layer), content: layer},
	})
}

// layer is the tar of the files and of the folders above them.
func (s Spec) layer() ([]byte, error) {
	entries := make(map[string]entry)
	for _, file := range s.Files {
		content := file.Content
		if file.Source != "" {
			var err error
			if content, err = os.ReadFile(file.Source); err != nil {
				return nil, err
			}
		}
		name := strings.TrimPrefix(path.Clean(file.Path), "/")
		entries[name] = entry{name: name, content: content, mode: file.Mode}
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			entries[dir] = entry{name: dir + "/", mode: 0o755, dir: true}
		}
	}
	sorted := make([]entry, 0, len(entries))
	for _, e := range entries {
		sorted = append(sorted, e)
	}
	slices.SortFunc(sorted, func(a, b entry) int { return cmp.Compare(a.name, b.name) })
	return writeTar(sorted)
}

type entry struct {
	name    string
	content []byte
	mode    int64
	dir     bool
}

func writeTar(entries []entry) ([]byte, error) {
	var buffer bytes.Buffer
	writer := tar.NewWriter(&buffer)
	for _, e := range entries {
		header := tar.Header{
			Typeflag: tar.TypeReg, Name: e.name, Size: int64(len(e.content)), Mode: cmp.Or(e.mode, 0o644),
			ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR,
		}
		if e.dir {
			header.Typeflag = tar.TypeDir
		}
		if err := writer.WriteHeader(&header); err != nil {
			return nil, fmt.Errorf("%s: %w", e.name, err)
		}
		if _, err := io.Copy(writer, bytes.NewReader(e.content)); err != nil {
			return nil, fmt.Errorf("%s: %w", e.name, err)
		}
	}
	if err := writer.Close(); err != nil {
		return nil, err
	}
	return buffer.Bytes(), nil
}

func digest(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func describe(mediaType string, content []byte) descriptor {
	return descriptor{MediaType: mediaType, Digest: digest(content), Size: len(content)}
}

func blobPath(content []byte) string {
	return "blobs/" + strings.Replace(digest(content), ":", "/", 1)
}
