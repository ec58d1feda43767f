package hostile

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Attacks by where a registry leads to.
func redirects() (all []Registry) {
	for _, where := range trapNames {
		to := func(w *World) string { return "https://" + w.Traps.All()[where] + "/x" }
		all = append(all,
			Registry{
				Case: Case{"redirect-blob-" + where, "a layer's redirect leads to " + trapWords[where], "CVE-2020-15157 class; SSRF", Reject},
				Lie:  onLayer(func(w *World, _ http.Handler, rw http.ResponseWriter, _ *http.Request) { redirect(rw, to(w)) }), Says: "refused to follow",
			},
			Registry{
				Case: Case{"realm-" + where, "the token service is at " + trapWords[where], "CVE-2020-15157 class; SSRF", Reject},
				Lie: on(everything, func(w *World, rw http.ResponseWriter, _ *http.Request) {
					challenge(rw, fmt.Sprintf(`Bearer realm=%q,service="x"`, to(w)))
				}), Says: "refused to follow",
			})
	}
	return append(all,
		Registry{
			Case: Case{"redirect-manifest-loopback", "a manifest's redirect leads to this machine", "SSRF", Reject},
			Lie:  on(isManifest, func(w *World, rw http.ResponseWriter, _ *http.Request) { redirect(rw, "https://"+w.Traps.Loopback+"/") }), Says: "refused to follow",
		},
		Registry{
			Case: Case{"redirect-ping-metadata", "the first question, /v2/, is redirected to the metadata service", "SSRF", Reject},
			Lie:  on(everything, func(w *World, rw http.ResponseWriter, _ *http.Request) { redirect(rw, "https://"+w.Traps.Metadata+"/") }), Says: "refused to follow",
		},
		Registry{
			Case: Case{"redirect-loopback-port", "the same as decimal, hex and octal numbers: https://2130706433, 0x7f.1, 0177.0.0.1", "SSRF filters", Reject},
			Lie: onLayer(func(_ *World, _ http.Handler, rw http.ResponseWriter, req *http.Request) {
				redirect(rw, []string{"https://2130706433/", "https://0x7f.1/", "https://0177.0.0.1/"}[len(req.URL.Path)%3])
			}), Says: "layer",
		},
		Registry{
			Case: Case{"redirect-stranger", "a layer's redirect leads to another host, as object stores are used: it is asked without any secret", "CVE-2020-15157; curl CVE-2018-1000007", Accept},
			Lie: onLayer(func(w *World, _ http.Handler, rw http.ResponseWriter, req *http.Request) {
				redirect(rw, "https://"+w.Stranger+req.URL.Path)
			}),
		},
		Registry{
			Case: Case{"redirect-stranger-challenge", "the other host then asks for a password", "CVE-2020-15157 (containerd); curl CVE-2022-27774", Reject},
			Lie: onLayer(func(w *World, _ http.Handler, rw http.ResponseWriter, req *http.Request) {
				redirect(rw, "https://"+w.Stranger+"/ask"+req.URL.Path)
			}), Says: "access denied",
		},
		Registry{
			Case: Case{"redirect-stranger-manifest", "a manifest's redirect leads to another host", "CVE-2020-15157 class", Accept},
			Lie: on(isManifest, func(w *World, rw http.ResponseWriter, req *http.Request) {
				redirect(rw, "https://"+w.Stranger+req.URL.Path)
			}),
		},
		Registry{
			Case: Case{"redirect-port", "a redirect to another port of the same host is one to a stranger", "curl CVE-2022-27774", Accept},
			Lie: onLayer(func(w *World, _ http.Handler, rw http.ResponseWriter, req *http.Request) {
				host, _, _ := strings.Cut(w.Stranger, ":")
				redirect(rw, "https://"+strings.Replace(w.Stranger, host, "stranger.example", 1)+req.URL.Path)
			}),
		},
		Registry{
			Case: Case{"redirect-userinfo", "a redirect with a name and a password in it, and one that looks like the registry: https://registry.example@stranger", "RFC 9110, 4.2.4", Reject},
			Lie: onLayer(func(w *World, _ http.Handler, rw http.ResponseWriter, req *http.Request) {
				redirect(rw, "https://"+w.Registry+"@"+w.Traps.Loopback+req.URL.Path)
			}), Says: "refused to follow",
		},
		Registry{
			Case: Case{"redirect-http", "a redirect of a layer from https to http", "HTTPS downgrade", Reject},
			Lie: onLayer(func(w *World, _ http.Handler, rw http.ResponseWriter, req *http.Request) {
				redirect(rw, "http://"+w.Plain+req.URL.Path)
			}), Says: "refused to follow",
		},
		Registry{
			Case: Case{"redirect-http-manifest", "a redirect of a manifest from https to http", "HTTPS downgrade", Reject},
			Lie: on(isManifest, func(w *World, rw http.ResponseWriter, req *http.Request) {
				redirect(rw, "http://"+w.Plain+req.URL.Path)
			}), Says: "refused to follow",
		},
		Registry{
			Case: Case{"redirect-file", "redirects to file:, ftp:, gopher: and data:", "curl CVE-2009-0037", Reject},
			Lie: onLayer(func(_ *World, _ http.Handler, rw http.ResponseWriter, _ *http.Request) {
				redirect(rw, "file:///etc/passwd")
			}), Says: "refused to follow",
		},
		Registry{
			Case: Case{"redirect-loop", "a redirect to itself", "facts: redirect loops", Reject},
			Lie:  onLayer(func(_ *World, _ http.Handler, rw http.ResponseWriter, req *http.Request) { redirect(rw, req.URL.Path) }), Says: "redirects",
			Requests: 150,
		},
		Registry{
			Case: Case{"redirect-endless", "a redirect to another path each time", "facts: redirect loops", Reject},
			Lie: stateful(func() func(*World, http.Handler, http.ResponseWriter, *http.Request) {
				var n atomic.Int64
				return func(w *World, honest http.Handler, rw http.ResponseWriter, req *http.Request) {
					if strings.Contains(req.URL.Path, "/elsewhere") || isLayer(w, req) {
						redirect(rw, fmt.Sprintf("/elsewhere%d", n.Add(1)))
						return
					}
					honest.ServeHTTP(rw, req)
				}
			}), Says: "redirects", Requests: 150,
		},
		Registry{
			Case: Case{"redirect-nowhere", "redirects without a Location, or with one of control characters", "RFC 9110, 10.2.2", Reject},
			Lie: onLayer(func(_ *World, _ http.Handler, rw http.ResponseWriter, _ *http.Request) {
				rw.Header()["Location"] = []string{"https://\x1b[2J/"}
				rw.WriteHeader(http.StatusFound)
			}), Says: "layer",
		},
	)
}

var trapWords = map[string]string{
	"loopback": "127.0.0.1", "loopback6": "[::1]", "metadata": "169.254.169.254", "metadata6": "[fd00:ec2::254]",
	"loopback-name": "a name that means 127.0.0.1", "loopback6-name": "a name that means ::1",
	"metadata-name": "a name that means 169.254.169.254", "metadata6-name": "a name that means fd00:ec2::254",
	"unspecified": "0.0.0.0, which is this machine", "mapped": "[::ffff:127.0.0.1]", "loopback-other": "127.99.0.1",
}

// Attacks by whoever stands between, with a certificate that is not the registry's.
func certificates() []Registry {
	honest := func(_ *World, honest http.Handler) http.Handler { return honest }
	return []Registry{
		{Case: Case{"tls-unknown", "a certificate by an authority that nobody knows", "RFC 5280", Reject}, Lie: honest, TLS: "unknown", Says: "certificate"},
		{Case: Case{"tls-name", "a certificate for another name", "RFC 9525", Reject}, Lie: honest, TLS: "name", Says: "certificate"},
		{Case: Case{"tls-expired", "a certificate of last year", "RFC 5280, 4.1.2.5", Reject}, Lie: honest, TLS: "expired", Says: "certificate"},
		{Case: Case{"tls-old", "TLS 1.1 and nothing newer", "RFC 8996", Reject}, Lie: honest, TLS: "old", Says: "tls"},
	}
}

// Attacks by how a registry asks for a password.
func challenges() []Registry {
	asks := func(challenges ...string) func(*World, http.Handler) http.Handler {
		return on(everything, func(_ *World, rw http.ResponseWriter, _ *http.Request) { challenge(rw, challenges...) })
	}
	return []Registry{
		{
			Case: Case{"auth-basic", "the registry asks for the password: it gets it", "RFC 7617", Accept},
			Lie: func(_ *World, honest http.Handler) http.Handler {
				return http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
					if user, password, ok := req.BasicAuth(); !ok || user != User || password != Password {
						challenge(rw, `Basic realm="x"`)
						return
					}
					honest.ServeHTTP(rw, req)
				})
			},
		},
		{
			Case: Case{"auth-token-expires", "a token that is good for three requests", "facts: token expiring mid-blob", Accept},
			Lie: stateful(func() func(*World, http.Handler, http.ResponseWriter, *http.Request) {
				var mu sync.Mutex
				used := map[string]int{} // requests, by what they are authorized with: who asks gets a token of his own
				issue := func() string {
					mu.Lock()
					defer mu.Unlock()
					token := fmt.Sprintf("%s-%d", Token, len(used))
					used["Bearer "+token] = 0
					return token
				}
				good := func(authorization string) bool {
					mu.Lock()
					defer mu.Unlock()
					n, known := used[authorization]
					if known {
						used[authorization]++
					}
					return known && n < 3
				}
				return func(w *World, honest http.Handler, rw http.ResponseWriter, req *http.Request) {
					switch {
					case req.URL.Path == "/token":
						serve(rw, req, "application/json", fmt.Appendf(nil, `{"token":%q,"expires_in":1}`, issue()))
						return
					case !good(req.Header.Get("Authorization")):
						challenge(rw, fmt.Sprintf(`Bearer realm="https://%s/token",service="x"`, w.Registry))
						return
					}
					honest.ServeHTTP(rw, req)
				}
			}),
		},
		{
			Case: Case{"auth-401-loop", "401 to everything, with the token service's own token refused again and again", "facts: 401 loops", Reject},
			Lie: on(everything, func(w *World, rw http.ResponseWriter, req *http.Request) {
				if req.URL.Path == "/token" {
					serve(rw, req, "application/json", []byte(`{"token":"`+Token+`"}`))
					return
				}
				challenge(rw, fmt.Sprintf(`Bearer realm="https://%s/token",service="x"`, w.Registry))
			}), Says: "access denied",
		},
		{
			Case: Case{"auth-401-blobs", "401 for layers only, whatever is said", "facts: 401 loops", Reject},
			Lie: onLayer(func(_ *World, _ http.Handler, rw http.ResponseWriter, _ *http.Request) {
				challenge(rw, `Basic realm="x"`)
			}), Says: "access denied", Requests: 150,
		},
		{
			Case: Case{"auth-realm-http", "the token service speaks http", "HTTPS downgrade", Reject},
			Lie: on(everything, func(w *World, rw http.ResponseWriter, _ *http.Request) {
				challenge(rw, fmt.Sprintf(`Bearer realm="http://%s/token"`, w.Plain))
			}), Says: "refused to follow",
		},
		{
			Case: Case{"auth-realm-file", "the token service is file:///etc/passwd", "SSRF", Reject},
			Lie:  asks(`Bearer realm="file:///etc/passwd"`), Says: "refused to follow",
		},
		{
			Case: Case{"auth-realm-none", "a challenge without a realm, and one with an empty realm", "RFC 6750, 3", Reject},
			Lie:  asks(`Bearer`, `Bearer realm=""`), Says: "registry",
		},
		{
			Case: Case{"auth-realm-userinfo", "a token service with a name and a password of its own in the address", "RFC 9110, 4.2.4", Reject},
			Lie: on(everything, func(w *World, rw http.ResponseWriter, _ *http.Request) {
				challenge(rw, fmt.Sprintf(`Bearer realm="https://a:b@%s/token"`, w.Registry))
			}), Says: "refused to follow",
		},
		{
			Case: Case{"auth-realm-controls", "a realm with ESC, quotes that do not end, and a backslash at the end", "RFC 9110, 5.6.4", Reject},
			Lie:  asks("Bearer realm=\"https://\x9b2J\\"), Says: "registry",
		},
		{
			Case: Case{"auth-schemes", "only schemes that nobody here speaks: Negotiate, NTLM, Digest", "RFC 4559", Reject},
			Lie:  asks("Negotiate", "NTLM", `Digest realm="x",nonce="y"`), Says: "access denied",
		},
		{
			Case: Case{"auth-1000-challenges", "a thousand challenges in one answer", "own", Reject},
			Lie:  asks(slices.Repeat([]string{`Custom a="b"`}, 1000)...), Says: "access denied",
		},
		{
			Case: Case{"auth-realm-redirect", "the token service redirects to a stranger, with the password at hand", "CVE-2020-15157 class", Reject},
			Lie: on(everything, func(w *World, rw http.ResponseWriter, req *http.Request) {
				if req.URL.Path == "/token" {
					redirect(rw, "https://"+w.Stranger+"/token")
					return
				}
				challenge(rw, fmt.Sprintf(`Bearer realm="https://%s/token"`, w.Registry))
			}), Says: "refused to follow",
		},
		{
			Case: Case{"auth-token-100m", "a token of 100 MB", "own", Reject},
			Lie: tokenService(func(rw http.ResponseWriter, req *http.Request) {
				_, _ = rw.Write([]byte(`{"token":"`))
				flood(rw, req, 100_000_000, 'x')
			}), Says: "not a registry's answer",
		},
		{
			Case: Case{"auth-token-newline", "a token with a line break, which would start a header of its own", "CWE-113", Reject},
			Lie: tokenService(func(rw http.ResponseWriter, req *http.Request) {
				serve(rw, req, "application/json", []byte(`{"token":"a\r\nX-Evil: b"}`))
			}), Says: "not a registry's answer",
		},
		{
			Case: Case{"auth-token-not-json", "a token service that answers with a web page", "hotel networks", Reject},
			Lie:  tokenService(func(rw http.ResponseWriter, req *http.Request) { serve(rw, req, "text/html", []byte("<html>\x1b[2J")) }), Says: "not a registry's answer",
		},
	}
}

// tokenService is a registry that wants a token from a service of its own.
func tokenService(answer func(http.ResponseWriter, *http.Request)) func(*World, http.Handler) http.Handler {
	return on(everything, func(w *World, rw http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/token" {
			answer(rw, req)
			return
		}
		challenge(rw, fmt.Sprintf(`Bearer realm="https://%s/token"`, w.Registry))
	})
}

func challenge(rw http.ResponseWriter, challenges ...string) {
	rw.Header()["Www-Authenticate"] = challenges
	rw.WriteHeader(http.StatusUnauthorized)
}

// Attacks by the answers of HTTP themselves.
func answers() []Registry {
	return []Registry{
		{
			Case: Case{"http-headers-endless", "headers without an end", "CVE-2023-39325 class; facts: endless headers", Reject},
			Lie: onLayer(hijack(func(send func(string) bool) {
				send("HTTP/1.1 200 OK\r\n")
				for send("X-More: " + strings.Repeat("x", 8000) + "\r\n") {
				}
			})), Says: "layer",
		},
		{
			Case: Case{"http-header-line-endless", "one header without an end", "facts: endless headers", Reject},
			Lie: onLayer(hijack(func(send func(string) bool) {
				send("HTTP/1.1 200 OK\r\nX: ")
				for send(strings.Repeat("x", 8000)) {
				}
			})), Says: "layer",
		},
		{
			Case: Case{"http-early-hints-endless", "103 Early Hints without an end", "CVE-2023-44487 class; golang issue 17739", Reject},
			Lie: onLayer(hijack(func(send func(string) bool) {
				for send("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n") {
				}
			})), Says: "layer",
		},
		{
			Case: Case{"http-garbage", "an answer that is not HTTP", "own", Reject},
			Lie:  onLayer(hijack(func(send func(string) bool) { send("\x1b[2J\x00\xff SSH-2.0-OpenSSH\r\n\r\n") })), Says: "layer",
		},
		{
			Case: Case{"http-status-controls", "a status line with ESC", "CVE-2003-0063 class (terminals)", Reject},
			Lie:  onLayer(hijack(func(send func(string) bool) { send("HTTP/1.1 418 \x1b]0;owned\x07\r\nContent-Length: 0\r\n\r\n") })), Says: "layer",
		},
		{
			Case: Case{"http-lengths", "two lengths that differ", "CWE-444", Reject},
			Lie: onLayer(hijack(func(send func(string) bool) {
				send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!")
			})), Says: "layer",
		},
		{
			Case: Case{"http-length-negative", "a length of -1", "CWE-444", Reject},
			Lie:  onLayer(hijack(func(send func(string) bool) { send("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nhello") })), Says: "layer",
		},
		{
			Case: Case{"http-chunks-garbage", "chunks whose lengths are no numbers", "CVE-2025-22871 (Go)", Reject},
			Lie: onLayer(hijack(func(send func(string) bool) {
				send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n")
			})), Says: "layer",
		},
		{
			Case: Case{"http-error-controls", "an error whose message has ESC, newlines and bidirectional controls", "CVE-2003-0063 class (terminals)", Reject},
			Lie: on(isManifest, func(_ *World, rw http.ResponseWriter, req *http.Request) {
				rw.WriteHeader(http.StatusForbidden)
				if req.Method != http.MethodHead {
					_, _ = rw.Write([]byte(`{"errors":[{"code":"DENIED","message":"\u001b]0;owned\u0007\ncoracle: all is well\u202e"}]}`))
				}
			}), Says: `owned`,
		},
		{
			Case: Case{"http-error-100m", "an error whose message has 100 MB", "own", Reject},
			Lie: on(isManifest, func(_ *World, rw http.ResponseWriter, req *http.Request) {
				rw.WriteHeader(http.StatusForbidden)
				_, _ = rw.Write([]byte(`{"errors":[{"code":"DENIED","message":"`))
				flood(rw, req, 100_000_000, 'x')
			}), Says: "access denied",
		},
		{
			Case: Case{"http-cookie", "cookies of 4 KiB with every answer: none is kept, none is sent", "RFC 6265", Accept},
			Lie: func(_ *World, honest http.Handler) http.Handler {
				return http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
					if req.Header.Get("Cookie") != "" {
						rw.WriteHeader(http.StatusTeapot)
						return
					}
					rw.Header().Set("Set-Cookie", "a="+strings.Repeat("x", 4000)+"; Domain=example")
					honest.ServeHTTP(rw, req)
				})
			},
		},
		{
			Case: Case{"http-not-a-registry", "a host that answers 200 to everything with a web page", "hotel networks", Reject},
			Lie: on(everything, func(_ *World, rw http.ResponseWriter, req *http.Request) {
				serve(rw, req, "text/html", []byte("<html>"))
			}), Says: "web page",
		},
	}
}

// hijack takes the connection over; send reports whether the client still listens.
func hijack(talk func(send func(string) bool)) func(*World, http.Handler, http.ResponseWriter, *http.Request) {
	return func(_ *World, _ http.Handler, rw http.ResponseWriter, _ *http.Request) {
		h, ok := rw.(http.Hijacker)
		if !ok {
			panic("hostile: the connection cannot be taken over")
		}
		conn, _, err := h.Hijack()
		must(err)
		defer conn.Close()
		talk(func(text string) bool {
			_, err := conn.Write([]byte(text))
			return err == nil
		})
	}
}
