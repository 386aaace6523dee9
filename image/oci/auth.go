package oci

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// A challenge is one way in that a registry offers in a WWW-Authenticate header.
//
// Source: RFC 9110, section 11.6.1; CNCF distribution, "Token Authentication Specification".
type challenge struct {
	scheme string // lower case
	params map[string]string
}

// challenges parses the values of WWW-Authenticate headers. What cannot be parsed ends
// its header.
func challenges(headers []string) []challenge {
	var list []challenge
	for _, h := range headers {
		var cur *challenge
		for rest := strings.TrimLeft(h, ", \t"); rest != ""; rest = strings.TrimLeft(rest, ", \t") {
			word := rest[:strings.IndexAny(rest+" ", " \t,=\"")]
			if word == "" {
				break
			}
			rest = rest[len(word):]
			if trimmed := strings.TrimLeft(rest, " \t"); !strings.HasPrefix(trimmed, "=") {
				list = append(list, challenge{scheme: strings.ToLower(word), params: map[string]string{}})
				cur = &list[len(list)-1]
				continue
			} else if cur == nil {
				break
			} else {
				cur.params[strings.ToLower(word)], rest = paramValue(strings.TrimLeft(trimmed[1:], " \t"))
			}
		}
	}
	return list
}

// paramValue reads a token or a quoted string, and returns what follows it.
func paramValue(s string) (value, rest string) {
	if !strings.HasPrefix(s, "\"") {
		end := strings.IndexAny(s+",", ", \t")
		return s[:end], s[end:]
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return b.String(), s[i+1:]
		case s[i] == '\\' && i+1 < len(s):
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String(), ""
}

// authorize answers a registry's challenge with the value of an Authorization header.
// The error wraps [ErrLogin] or [ErrDenied].
func (r *registry) authorize(ctx context.Context, resp *http.Response, scope string) (string, error) {
	for _, c := range challenges(resp.Header.Values("WWW-Authenticate")) {
		switch c.scheme {
		case "bearer":
			return r.token(ctx, c, resp.Request.URL.Scheme, scope)
		case "basic":
			cred, err := r.credential()
			if err != nil {
				return "", err
			}
			if cred.Username == "" {
				return "", ErrLogin
			}
			return cred.basic(), nil
		}
	}
	return "", fmt.Errorf("%w: it offers no way to log in that is known", ErrLogin)
}

// token gets a bearer token from the server that a challenge names. It is spoken to as the registry is, by scheme, or over HTTPS.
func (r *registry) token(ctx context.Context, c challenge, scheme, scope string) (string, error) {
	realm, err := url.Parse(c.params["realm"])
	if err != nil || realm.Host == "" || realm.Scheme != "https" && realm.Scheme != scheme {
		return "", fmt.Errorf("%w: token server %q", ErrRegistry, shorten(c.params["realm"]))
	}
	if s := c.params["scope"]; s != "" {
		scope = s
	}
	cred, err := r.credential()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, headerTimeout)
	defer cancel()
	req, err := tokenRequest(ctx, realm, c.params["service"], scope, cred)
	if err != nil {
		return "", err
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return "", networkError(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", r.tokenError(resp, cred)
	}
	var answer struct {
		Token       string `json:"token"`
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&answer); err != nil {
		return "", fmt.Errorf("%w: token server: %w", ErrRegistry, err)
	}
	if answer.Token == "" {
		answer.Token = answer.AccessToken
	}
	if answer.Token == "" {
		return "", fmt.Errorf("%w: the token server sends no token", ErrRegistry)
	}
	return "Bearer " + answer.Token, nil
}

func (r *registry) tokenError(resp *http.Response, cred Credential) error {
	switch {
	case resp.StatusCode == http.StatusTooManyRequests:
		return ErrLimited
	case resp.StatusCode >= 500:
		return fmt.Errorf("%w: token server: %s", ErrRegistry, resp.Status)
	case cred.empty():
		return ErrLogin
	}
	return fmt.Errorf("%w: user %q or the password is wrong", ErrDenied, cred.Username)
}

// tokenRequest asks with GET and basic authentication, or with POST for an identity token.
func tokenRequest(ctx context.Context, realm *url.URL, service, scope string, cred Credential) (*http.Request, error) {
	q := url.Values{}
	if service != "" {
		q.Set("service", service)
	}
	if scope != "" {
		q.Set("scope", scope)
	}
	if cred.IdentityToken != "" {
		q.Set("grant_type", "refresh_token")
		q.Set("refresh_token", cred.IdentityToken)
		q.Set("client_id", userAgent)
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, realm.String(), strings.NewReader(q.Encode()))
		if err == nil {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		return req, err
	}
	old := realm.Query()
	for key, values := range q {
		old[key] = values
	}
	with := *realm
	with.RawQuery = old.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, with.String(), nil)
	if err == nil && cred.Username != "" {
		req.Header.Set("Authorization", cred.basic())
	}
	return req, err
}

// shorten keeps hostile text from flooding a terminal, and control characters out of it.
func shorten(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
	if len(s) > 200 {
		s = s[:200] + "…"
	}
	return s
}
