package auth

import "testing"

func TestHide(t *testing.T) {
	secret, _ := newSecret("0123456789ab")
	for text, want := range map[string]string{
		"/x/" + secret:                      "/x/mp_0123456789ab_…",
		secret + "/" + secret + " and more": "mp_0123456789ab_…/mp_0123456789ab_… and more",
		"mp_mp_0123456789ab_X%20":           "mp_mp_0123456789ab_…%20",
		"/mp_/mp_x/mp_0123456789ab":         "/mp_/mp_x/mp_0123456789ab",
		"/mp_0123456789ab_":                 "/mp_0123456789ab_",
		"/mp_0123456789AB_abc":              "/mp_0123456789AB_abc",
		"":                                  "",
	} {
		if got := Hide(text); got != want {
			t.Errorf("Hide(%q) = %q, want %q", text, got, want)
		}
	}
}
