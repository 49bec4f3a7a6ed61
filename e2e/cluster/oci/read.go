package oci

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// Image is one name in an archive.
type Image struct {
	Name string
	// Digest is that of its manifest.
	Digest string
}

// Images lists what an archive that [Write] made holds.
func Images(archive string) ([]Image, error) {
	file, err := os.Open(archive)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	reader := tar.NewReader(file)
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("%s: no %s in it", archive, indexFile)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", archive, err)
		}
		if header.Name != indexFile {
			continue
		}
		var top index
		if err := json.NewDecoder(reader).Decode(&top); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", archive, indexFile, err)
		}
		var images []Image
		for _, m := range top.Manifests {
			images = append(images, Image{Name: m.Annotations[annotationName], Digest: m.Digest})
		}
		return images, nil
	}
}
