package registry

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/coracle-run/coracle/oci/registry/creds"
)

func TestParseChallenges(t *testing.T) {
	for header, want := range map[string][]challenge{
		"": nil,
		`Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a:pull,push"`: {
			{"bearer", map[string]string{"realm": "https://auth.docker.io/token", "service": "registry.docker.io", "scope": "repository:a:pull,push"}},
		},
		`Basic realm="a, b"`:                   {{"basic", map[string]string{"realm": "a, b"}}},
		`BASIC Realm = "x" , charset="UTF-8" `: {{"basic", map[string]string{"realm": "x", "charset": "UTF-8"}}},
		`Basic`:                                {{"basic", map[string]string{}}},
		`Negotiate, Basic realm="x", Bearer realm="y",service=z`: {
			{"negotiate", map[string]string{}}, {"basic", map[string]string{"realm": "x"}}, {"bearer", map[string]string{"realm": "y", "service": "z"}},
		},
		`Bearer realm="a\"b\\c"`:              {{"bearer", map[string]string{"realm": `a"b\c`}}},
		`Bearer realm=https://a/token?x=1`:    {{"bearer", map[string]string{"realm": "https://a/token?x=1"}}},
		`Bearer realm="first",realm="second"`: {{"bearer", map[string]string{"realm": "first"}}},
		`Bearer realm="open`:                  {{"bearer", map[string]string{}}},
		`Bearer realm="open\`:                 {{"bearer", map[string]string{}}},
		`Bearer realm=`:                       {{"bearer", map[string]string{}}},
		`"quoted"`:                            nil,
		`= , ;`:                               nil,
	} {
		if got := parseChallenges([]string{header}); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, want %v", header, got, want)
		}
	}
	many := parseChallenges([]string{strings.Repeat("Basic,", 1000), strings.Repeat("Bearer,", 1000)})
	if len(many) != maxChallenges {
		t.Errorf("%d challenges", len(many))
	}
	if c, ok := choose(parseChallenges([]string{"Negotiate", `Basic realm="b"`, `Bearer realm="t"`})); !ok || c.scheme != "bearer" {
		t.Errorf("chose %v", c)
	}
	if c, ok := choose(parseChallenges([]string{`Bearer service="no realm"`, `Basic`})); !ok || c.scheme != "basic" {
		t.Errorf("chose %v", c)
	}
	if c, ok := choose(parseChallenges([]string{"Negotiate", "Bearer"})); ok {
		t.Errorf("chose %v", c)
	}
}

// vault is a registry that wants a token, from a service elsewhere.
type vault struct {
	*contents
	realm string
	valid func(token string) bool

	mu     sync.Mutex
	tokens []*http.Request
}

func (v *vault) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !v.valid(token) {
		rw.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm=%q,service="s"`, v.realm))
		rw.WriteHeader(http.StatusUnauthorized)
		return
	}
	v.contents.ServeHTTP(rw, r)
}

// service gives tokens t1, t2 and so on.
func (v *vault) service(rw http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := r.ParseForm(); err != nil {
		panic(err)
	}
	v.tokens = append(v.tokens, r)
	_, _ = fmt.Fprintf(rw, `{"access_token":"t%d","expires_in":60}`, len(v.tokens))
}

func newVault(w *world, realm string) *vault {
	v := &vault{contents: newContents(), realm: realm, valid: func(token string) bool { return token != "" }}
	v.tags["1"] = v.image("amd64", "").Digest
	w.hosts[host] = v
	if u, err := url.Parse(realm); err == nil {
		w.hosts[u.Host] = http.HandlerFunc(v.service)
	}
	return v
}

// writeConfig writes docker's file.
func writeConfig(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(os.Getenv("DOCKER_CONFIG"), "config.json")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestIdentityToken(t *testing.T) {
	w := newWorld(t)
	writeConfig(t, `{"auths":{"`+host+`":{"identitytoken":"identity"}}}`)
	v := newVault(w, "https://auth.example/token")
	if err := pulled(t, w.client(), host+"/a:1"); err != nil {
		t.Fatal(err)
	}
	r := v.tokens[0]
	if r.Method != http.MethodPost || r.PostForm.Get("refresh_token") != "identity" || r.PostForm.Get("grant_type") != "refresh_token" ||
		r.PostForm.Get("scope") != "repository:a:pull" || r.PostForm.Get("service") != "s" || strings.Contains(r.URL.String(), "identity") {
		t.Errorf("asked %s %s with %v", r.Method, r.URL, r.PostForm)
	}
}

func TestRegistryToken(t *testing.T) {
	w := newWorld(t)
	writeConfig(t, `{"auths":{"`+host+`":{"registrytoken":"ready"}}}`)
	v := newVault(w, "https://auth.example/token")
	v.valid = func(token string) bool { return token == "ready" }
	if err := pulled(t, w.client(), host+"/a:1"); err != nil || len(v.tokens) != 0 {
		t.Errorf("%v after %d tokens", err, len(v.tokens))
	}
}

// A token that expires while many requests are on their way is renewed once.
func TestManyRequestsRenewOnce(t *testing.T) {
	w := newWorld(t)
	v := newVault(w, "https://auth.example/token")
	blob := v.add("application/octet-stream", []byte("blob"))
	c := w.client()
	if err := pulled(t, c, host+"/a:1"); err != nil {
		t.Fatal(err)
	}
	before := len(v.tokens)
	old := fmt.Sprintf("t%d", before)
	const most = 24
	var mu sync.Mutex
	refused, together := 0, make(chan struct{})
	v.valid = func(token string) bool {
		if token != old {
			return token != ""
		}
		mu.Lock()
		if refused++; refused == most {
			close(together)
		}
		mu.Unlock()
		<-together // all of them have the old token
		return false
	}
	ref := parse(t, host+"/a:1")
	var all sync.WaitGroup
	for range most {
		all.Go(func() {
			body, err := c.Open(t.Context(), ref, blob, 0, blob.Size)
			if err != nil {
				t.Error(err)
				return
			}
			_ = body.Close()
		})
	}
	all.Wait()
	if got := len(v.tokens) - before; got != 1 {
		t.Errorf("%d tokens for one that expired", got)
	}
}

// Registries whose front page is open ask later.
func TestChallengeAfterAnOpenDoor(t *testing.T) {
	w := newWorld(t)
	login(t, map[string]string{host: "me:secret"})
	v := newVault(w, "https://auth.example/token")
	w.hosts[host] = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v2/" {
			return
		}
		v.ServeHTTP(rw, r)
	})
	if err := pulled(t, w.client(), host+"/a:1"); err != nil {
		t.Error(err)
	}
}

const secret = "s3cr3t-w0rd"

// leaks lists the hosts, other than those that may, that a secret reached, in whatever form.
func (w *world) leaks(t *testing.T, may ...string) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for h, headers := range w.auth {
		for _, header := range headers {
			raw, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(header, "Basic "))
			if strings.Contains(string(raw)+header, secret) && !strings.Contains(" "+strings.Join(may, " ")+" ", " "+h+" ") {
				t.Errorf("%s got the password", h)
			}
		}
	}
	for _, line := range w.log {
		if strings.Contains(line, secret) {
			t.Errorf("the password is in a URL: %s", line)
		}
	}
}

// Where a token service may be. The password goes over https to wherever the registry says, and over http only to the
// registry's own host, when http is spoken with it.
func TestRealms(t *testing.T) {
	for _, tc := range []struct {
		host, realm     string
		insecure, plain bool // plain: the registry speaks http
		ok              bool
	}{
		{host, "https://auth.example/token", false, false, true},
		{host, "https://" + host + "/token", false, false, true},
		{host, "http://auth.example/token", false, false, false},
		{host, "http://" + host + "/token", false, false, false},
		{host, "http://auth.example/token", true, false, false},
		{host, "http://auth.example/token", true, true, false},
		{host, "http://" + host + "/token", true, true, true},
		{host, "http://" + host + ":8080/token", true, true, true},
		{host, "https://auth.example/token", true, true, true},
		{host, "https://user:pass@auth.example/token", false, false, false},
		{host, "https://10.1.2.3/token", false, false, false},
		{host, "https://127.0.0.1/token", false, false, false},
		{host, "https://169.254.169.254/token", true, false, false},
		{host, "https://[::1]/token", false, false, false},
		{host, "ftp://auth.example/token", false, false, false},
		{host, "/token", false, false, false},
		{host, "https://", false, false, false},
		{host, "https://[broken/token", false, false, false},
		{"10.9.8.7:5000", "https://10.1.2.3/token", false, false, true},
		{"127.0.0.1:5000", "http://127.0.0.1:5001/token", false, true, true},
		{"127.0.0.1:5000", "http://localhost:5001/token", false, true, true},
		{"127.0.0.1:5000", "http://auth.example/token", false, true, false},
	} {
		w := newWorld(t)
		login(t, map[string]string{tc.host: "me:" + secret})
		v := newVault(w, tc.realm)
		delete(w.hosts, host)
		if u, err := url.Parse(tc.realm); err == nil && u.Host == tc.host {
			w.hosts[tc.host] = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/token" {
					v.service(rw, r)
					return
				}
				v.ServeHTTP(rw, r)
			})
		} else {
			w.hosts[tc.host] = v
		}
		var network http.RoundTripper = w
		if tc.plain {
			network = onlyPlain{w, tc.host}
		}
		err := pulled(t, NewClient(Options{Transport: network, Insecure: tc.insecure, Pause: 1}), tc.host+"/a:1")
		if tc.ok != (err == nil) || !tc.ok && !errors.Is(err, ErrForbiddenAddress) {
			t.Errorf("%s names %s (insecure %v, plain %v): %v", tc.host, tc.realm, tc.insecure, tc.plain, err)
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("the password is in %v", err)
		}
		if tc.ok {
			u, _ := url.Parse(tc.realm)
			w.leaks(t, tc.host, u.Host)
		} else {
			w.leaks(t)
		}
	}
}

// onlyPlain is a network where one host speaks no https.
type onlyPlain struct {
	*world
	host string
}

func (n onlyPlain) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host == n.host && r.URL.Scheme == "https" {
		return nil, errors.New("http: server gave HTTP response to HTTPS client")
	}
	return n.world.RoundTrip(r)
}

// A token service must not hand a password on, whatever the status of its redirect, and wherever to.
func TestRedirectsOfTheTokenService(t *testing.T) {
	for _, entry := range []string{`{"auth":"` + base64.StdEncoding.EncodeToString([]byte("me:"+secret)) + `"}`, `{"identitytoken":"` + secret + `"}`} {
		for _, status := range []int{http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
			for _, to := range []string{"https://evil.example/token", "https://sub.auth.example/token", "https://auth.example:444/token", "http://auth.example/token", "https://169.254.169.254/"} {
				w := newWorld(t)
				writeConfig(t, `{"auths":{"`+host+`":`+entry+`}}`)
				v := newVault(w, "https://auth.example/token")
				reached := ""
				w.hosts["auth.example"] = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { http.Redirect(rw, r, to, status) })
				for _, h := range []string{"evil.example", "sub.auth.example", "auth.example:444", "169.254.169.254"} {
					w.hosts[h] = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
						reached = r.URL.String()
						v.service(rw, r)
					})
				}
				if err := pulled(t, w.client(), host+"/a:1"); !errors.Is(err, ErrForbiddenAddress) || strings.Contains(err.Error(), secret) {
					t.Errorf("%d to %s: %v", status, to, err)
				}
				if reached != "" {
					t.Errorf("%d to %s: reached %s", status, to, reached)
				}
			}
		}
	}
}

// Nobody's requests may be sent round: there is nothing to lose.
func TestRedirectOfAnonymousTokenRequest(t *testing.T) {
	w := newWorld(t)
	v := newVault(w, "https://auth.example/token")
	w.hosts["other.example"] = http.HandlerFunc(v.service)
	w.hosts["auth.example"] = http.RedirectHandler("https://other.example/token", http.StatusFound)
	if err := pulled(t, w.client(), host+"/a:1"); err != nil {
		t.Error(err)
	}
	w.hosts["auth.example"] = http.RedirectHandler("https://auth.example/token", http.StatusFound)
	if err := pulled(t, w.client(), host+"/a:1"); !errors.Is(err, ErrNotRegistry) {
		t.Errorf("round and round: %v", err)
	}
}

// Neither a password nor a token follows a redirect of the registry, also not to another port, a part of its domain, or http.
func TestRedirectsOfTheRegistry(t *testing.T) {
	for _, byToken := range []bool{false, true} {
		for _, to := range []string{"https://cdn.example", "https://sub." + host, "https://" + host + ":444", "https://" + strings.ToUpper(host) + ".evil.example"} {
			w, c := newWorld(t), newContents()
			login(t, map[string]string{host: "me:" + secret, "cdn.example": "other:" + secret})
			c.tags["1"] = c.image("amd64", "").Digest
			target, _ := url.Parse(to)
			w.hosts[target.Host] = c
			w.hosts["auth.example"] = http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, `{"token":"`+secret+`"}`) })
			w.hosts[host] = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				switch {
				case r.Header.Get("Authorization") == "" && byToken:
					rw.Header().Set("WWW-Authenticate", `Bearer realm="https://auth.example/token"`)
					rw.WriteHeader(http.StatusUnauthorized)
				case r.Header.Get("Authorization") == "":
					rw.Header().Set("WWW-Authenticate", `Basic realm="r"`)
					rw.WriteHeader(http.StatusUnauthorized)
				case strings.Contains(r.URL.Path, "/blobs/"), strings.Contains(r.URL.Path, "/manifests/") && r.Method == http.MethodGet:
					http.Redirect(rw, r, to+r.URL.Path, http.StatusTemporaryRedirect)
				default:
					c.ServeHTTP(rw, r)
				}
			})
			if err := pulled(t, w.client(), host+"/a:1"); err != nil {
				t.Errorf("%s: %v", to, err)
			}
			w.leaks(t, host, "auth.example")
			if len(w.auth[target.Host]) != 0 {
				t.Errorf("%s got %d Authorization headers", to, len(w.auth[target.Host]))
			}
		}
	}
}

// A host that a redirect leads to may ask for a token of its own, as public registries behind a common name do; it gets one
// that was given to nobody, and a password never.
func TestRedirectToARegistryWithTokens(t *testing.T) {
	w, c := newWorld(t), newContents()
	login(t, map[string]string{host: "me:" + secret, "elsewhere.example": "me:" + secret, "auth.example": "me:" + secret})
	w.hosts[host] = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v2/" {
			return
		}
		http.Redirect(rw, r, "https://elsewhere.example"+r.URL.Path, http.StatusTemporaryRedirect)
	})
	c.tags["1"] = c.image("amd64", "").Digest
	v := newVault(w, "https://auth.example/token")
	v.contents = c
	w.hosts["elsewhere.example"] = v
	w.hosts[host] = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v2/" {
			http.Redirect(rw, r, "https://elsewhere.example"+r.URL.Path, http.StatusTemporaryRedirect)
		}
	})
	if err := pulled(t, w.client(), host+"/a:1"); err != nil {
		t.Error(err)
	}
	w.leaks(t)
	w.hosts["elsewhere.example"] = http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("WWW-Authenticate", `Basic realm="r"`)
		rw.WriteHeader(http.StatusUnauthorized)
	})
	if err := pulled(t, w.client(), host+"/a:1"); !errors.Is(err, ErrUnauthorized) {
		t.Errorf("%v", err)
	}
	w.leaks(t)
}

// A front page that leads elsewhere has that place's challenge ignored.
func TestPingThatIsLedAway(t *testing.T) {
	w := newWorld(t)
	login(t, map[string]string{host: "me:" + secret})
	w.hosts[host] = http.RedirectHandler("https://evil.example/v2/", http.StatusFound)
	w.hosts["evil.example"] = http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Add("WWW-Authenticate", `Bearer realm="https://evil.example/token"`)
		rw.Header().Add("WWW-Authenticate", `Basic realm="r"`)
		rw.WriteHeader(http.StatusUnauthorized)
	})
	if err := pulled(t, w.client(), host+"/a:1"); err == nil {
		t.Error("pulled")
	}
	w.leaks(t)
}

// Links of a registry behind a proxy that ends TLS say http and mean the registry.
func TestOwnLinksStayHTTPS(t *testing.T) {
	w, c := newWorld(t), newContents()
	c.tags["1"] = c.image("amd64", "").Digest
	w.hosts[host] = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/blobs/") && r.URL.RawQuery == "" {
			http.Redirect(rw, r, "http://"+host+r.URL.Path+"?again", http.StatusTemporaryRedirect)
			return
		}
		c.ServeHTTP(rw, r)
	})
	if err := pulled(t, w.client(), host+"/a:1"); err != nil {
		t.Error(err)
	}
	for _, line := range w.log {
		if strings.Contains(line, "http://") {
			t.Errorf("asked %s", line)
		}
	}
}

// What a token service says without a token in it may be a secret all the same.
func TestTokenServiceThatTellsTooMuch(t *testing.T) {
	for _, text := range []string{`{"refresh_token":"` + secret + `"}`, `{"token":"` + secret + `\n"}`, secret, `{"token":["` + secret + `"]}`, "{" + strings.Repeat(" ", maxToken) + `"token":"` + secret + `"}`} {
		w := newWorld(t)
		newVault(w, "https://auth.example/token")
		w.hosts["auth.example"] = http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, text) })
		if err := pulled(t, w.client(), host+"/a:1"); !errors.Is(err, ErrNotRegistry) || strings.Contains(err.Error(), secret) {
			t.Errorf("%.40s: %v", text, err)
		}
	}
}

// A password that is refused: one error that says whose, and where from.
func TestWrongPassword(t *testing.T) {
	for _, byToken := range []bool{false, true} {
		w := newWorld(t)
		file := writeConfig(t, `{"auths":{"`+host+`":{"auth":"`+base64.StdEncoding.EncodeToString([]byte("me:"+secret))+`"}}}`)
		n := 0
		deny := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			n++
			if byToken && r.URL.Path != "/token" {
				rw.Header().Set("WWW-Authenticate", `Bearer realm="https://`+host+`/token"`)
			} else {
				rw.Header().Set("WWW-Authenticate", `Basic realm="r"`)
			}
			rw.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(rw, `{"errors":[{"code":"UNAUTHORIZED","message":"incorrect username or password"}]}`)
		})
		w.hosts[host] = deny
		err := pulled(t, w.client(), host+"/a:1")
		var hint interface{ Hint() string }
		if !errors.Is(err, ErrUnauthorized) || !strings.Contains(err.Error(), "as me, by "+file) || strings.Contains(err.Error(), secret) ||
			!errors.As(err, &hint) || !strings.Contains(hint.Hint(), "coracle login "+host) {
			t.Errorf("by token %v: %v", byToken, err)
		}
		if n > 6 {
			t.Errorf("by token %v: %d requests", byToken, n)
		}
	}
}

// A keychain of the program's own goes before the files, is asked for the repository, once, and its errors are told.
func TestKeychain(t *testing.T) {
	w := newWorld(t)
	v := newVault(w, "https://auth.example/token")
	var asked []string
	own := keychain(func(target authn.Resource) (authn.Authenticator, error) {
		asked = append(asked, target.RegistryStr()+" "+target.String())
		return &authn.Basic{Username: "own", Password: secret}, nil
	})
	if _, err := w.client(func(o *Options) { o.Keychain = own }).Digest(t.Context(), parse(t, host+"/a:1")); err != nil {
		t.Fatal(err)
	}
	if want := []string{host + " " + host + "/a"}; !slices.Equal(asked, want) {
		t.Errorf("asked for %q, want %q", asked, want)
	}
	if user, _, _ := v.tokens[0].BasicAuth(); user != "own" {
		t.Errorf("the token service heard %q", user)
	}
	v.valid = func(string) bool { return false }
	if _, err := w.client(func(o *Options) { o.Keychain = own }).Digest(t.Context(), parse(t, host+"/a:1")); !errors.Is(err, ErrUnauthorized) || !strings.Contains(err.Error(), "as own, by the program's keychain") {
		t.Errorf("not let in: %v", err)
	}
	w.leaks(t, "auth.example")
	locked := errors.New("locked")
	fails := keychain(func(authn.Resource) (authn.Authenticator, error) { return nil, locked })
	var told *CredentialError
	if _, err := w.client(func(o *Options) { o.Keychain = fails }).Digest(t.Context(), parse(t, host+"/a:1")); !errors.Is(err, locked) || !errors.As(err, &told) {
		t.Errorf("a keychain that fails: %v", err)
	}
}

type keychain func(authn.Resource) (authn.Authenticator, error)

func (k keychain) Resolve(target authn.Resource) (authn.Authenticator, error) { return k(target) }

func TestLogin(t *testing.T) {
	w := newWorld(t)
	v := newVault(w, "https://auth.example/token")
	good := creds.Credential{AuthConfig: authn.AuthConfig{Username: "me", Password: secret}}
	if asked, err := w.client().Login(t.Context(), host, good); err != nil || !asked {
		t.Errorf("token: %v, %v", asked, err)
	}
	if r := v.tokens[0]; r.URL.Query().Has("scope") || r.URL.Query().Get("account") != "me" {
		t.Errorf("asked %s", r.URL)
	}
	v.valid = func(string) bool { return false }
	if _, err := w.client().Login(t.Context(), host, good); !errors.Is(err, ErrUnauthorized) {
		t.Errorf("a token that is not taken: %v", err)
	}
	w.hosts["auth.example"] = http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusUnauthorized) })
	if _, err := w.client().Login(t.Context(), host, good); !errors.Is(err, ErrUnauthorized) || strings.Contains(err.Error(), secret) {
		t.Errorf("no token: %v", err)
	}
	w.hosts[host] = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if _, p, _ := r.BasicAuth(); p != secret {
			rw.Header().Set("WWW-Authenticate", `Basic realm="r"`)
			rw.WriteHeader(http.StatusUnauthorized)
		}
	})
	if asked, err := w.client().Login(t.Context(), host, good); err != nil || !asked {
		t.Errorf("password: %v, %v", asked, err)
	}
	if _, err := w.client().Login(t.Context(), host, creds.Credential{AuthConfig: authn.AuthConfig{Username: "me", Password: "wrong"}}); !errors.Is(err, ErrUnauthorized) {
		t.Errorf("wrong password: %v", err)
	}
	w.hosts[host] = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	if asked, err := w.client().Login(t.Context(), host, good); err != nil || asked {
		t.Errorf("nobody asks: %v, %v", asked, err)
	}
	for _, h := range []http.Handler{nil, http.NotFoundHandler(), http.RedirectHandler("http://"+host+".evil.example/", http.StatusFound)} {
		if w.hosts[host] = h; h == nil {
			delete(w.hosts, host)
		}
		if _, err := w.client().Login(t.Context(), host, good); err == nil {
			t.Errorf("%v: logged in", h)
		}
	}
	w.leaks(t, host, "auth.example")
}

func TestParseHost(t *testing.T) {
	for text, want := range map[string]string{
		"": "docker.io", "docker.io": "docker.io", "index.docker.io": "docker.io", "https://index.docker.io/v1/": "docker.io", "registry-1.docker.io": "docker.io",
		"ghcr.io": "ghcr.io", "https://ghcr.io/": "ghcr.io", "http://r.lab:5000": "r.lab:5000", "localhost:5000": "localhost:5000", "[::1]:5000": "[::1]:5000",
	} {
		if got, err := ParseHost(text); err != nil || got != want {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for _, bad := range []string{"ghcr.io/me", "https://", "a b", "a\x1b", "-x", "user@host", "/", "ftp://x"} {
		if got, err := ParseHost(bad); !errors.Is(err, ErrBadRef) {
			t.Errorf("%q: %q, %v", bad, got, err)
		}
	}
}
