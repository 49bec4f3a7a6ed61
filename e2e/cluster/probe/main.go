// Command probe is the tests' hand inside a pod: it says what a pod sees of names, files and other servers.
//
//	probe serve ADDRESS      answers the same questions over HTTP: /name, /resolve?host=, /read?file=, /get?url=
//	probe resolve HOST       the addresses of a name, one a line
//	probe read FILE          the content of a file
//	probe get URL            the body of a 200 answer
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"
)

// timeout is what one question may take.
const timeout = 5 * time.Second

// questions are what can be asked, each with one argument.
var questions = map[string]struct {
	parameter string
	answer    func(context.Context, string) (string, error)
}{
	"resolve": {"host", resolve},
	"read":    {"file", read},
	"get":     {"url", get},
}

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: probe serve ADDRESS | resolve HOST | read FILE | get URL")
	}
	if os.Args[1] == "serve" {
		log.Fatal(serve(os.Args[2]))
	}
	question, known := questions[os.Args[1]]
	if !known {
		log.Fatalf("no question %q", os.Args[1])
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	answer, err := question.answer(ctx, os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(answer)
}

func serve(address string) error {
	handler := http.NewServeMux()
	handler.HandleFunc("GET /name", func(w http.ResponseWriter, _ *http.Request) {
		name, _ := os.Hostname()
		fmt.Fprint(w, name)
	})
	for name, question := range questions {
		handler.HandleFunc("GET /"+name, func(w http.ResponseWriter, r *http.Request) {
			ctx, cancel := context.WithTimeout(r.Context(), timeout)
			defer cancel()
			answer, err := question.answer(ctx, r.URL.Query().Get(question.parameter))
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadGateway)
				return
			}
			fmt.Fprint(w, answer)
		})
	}
	log.Printf("probe serves on %s", address)
	return http.ListenAndServe(address, handler)
}

func resolve(ctx context.Context, host string) (string, error) {
	addresses, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		return "", err
	}
	slices.Sort(addresses)
	return strings.Join(addresses, "\n") + "\n", nil
}

func read(_ context.Context, file string) (string, error) {
	content, err := os.ReadFile(file)
	return string(content), err
}

// client makes a new connection for each question, so that each is balanced by itself.
var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

func get(ctx context.Context, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s: %s", url, response.Status, body)
	}
	return string(body), nil
}
