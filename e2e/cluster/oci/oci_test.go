package oci

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func spec(t *testing.T, dir string) Spec {
	t.Helper()
	source := filepath.Join(dir, "program")
	if err := os.WriteFile(source, []byte("program"), 0o700); err != nil {
		t.Fatal(err)
	}
	return Spec{
		Names:      []string{"localhost/a:1", "localhost/b:2"},
		Files:      []File{{Path: "/usr/bin/program", Source: source, Mode: 0o755}, {Path: "/etc/passwd", Content: []byte("nobody"), Mode: 0o644}},
		User:       "65532:65532",
		Entrypoint: []string{"/usr/bin/program"},
		Labels:     map[string]string{"b": "2", "a": "1", "c": "3"},
	}
}

// Whoever builds the same files gets the same bytes, whenever and wherever they do.
func TestEqualInputsGiveEqualBytes(t *testing.T) {
	first, err := spec(t, t.TempDir()).archive()
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := t.TempDir()
	other := spec(t, elsewhere)
	old := time.Now().Add(-100 * time.Hour)
	if err := os.Chtimes(filepath.Join(elsewhere, "program"), old, old); err != nil {
		t.Fatal(err)
	}
	slices.Reverse(other.Files)
	second, err := other.archive()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, second) {
		t.Error("the archives differ")
	}
}

func TestLayerHasFoldersBeforeTheirFiles(t *testing.T) {
	layer, err := spec(t, t.TempDir()).layer()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	reader := tar.NewReader(bytes.NewReader(layer))
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if !header.ModTime.Equal(time.Unix(0, 0)) || header.Uid != 0 || header.Gid != 0 {
			t.Errorf("%s: time %v, owner %d:%d", header.Name, header.ModTime, header.Uid, header.Gid)
		}
		names = append(names, header.Name)
	}
	want := []string{"etc/", "etc/passwd", "usr/", "usr/bin/", "usr/bin/program"}
	if !slices.Equal(names, want) {
		t.Errorf("entries %q, want %q", names, want)
	}
}

func TestImagesReadsWhatWriteWrote(t *testing.T) {
	archive := filepath.Join(t.TempDir(), "deep", "image.tar")
	if err := Write(archive, spec(t, t.TempDir())); err != nil {
		t.Fatal(err)
	}
	images, err := Images(archive)
	if err != nil {
		t.Fatal(err)
	}
	if len(images) != 2 || images[0].Name != "localhost/a:1" || images[1].Name != "localhost/b:2" || images[0].Digest != images[1].Digest {
		t.Errorf("images %+v", images)
	}
}

func TestWriteKeepsTheTimeOfAnEqualArchive(t *testing.T) {
	archive := filepath.Join(t.TempDir(), "image.tar")
	dir := t.TempDir()
	if err := Write(archive, spec(t, dir)); err != nil {
		t.Fatal(err)
	}
	old := time.Unix(1_000_000_000, 0)
	if err := os.Chtimes(archive, old, old); err != nil {
		t.Fatal(err)
	}
	if err := Write(archive, spec(t, dir)); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(archive)
	if err != nil {
		t.Fatal(err)
	}
	if !info.ModTime().Equal(old) {
		t.Error("an equal archive was written again")
	}
}
