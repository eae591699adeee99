package faulty

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A verb is one order, for one request or for all that follow.
type verb struct {
	name   string
	n      int64
	d      time.Duration
	text   string
	status int
	always bool
}

// What follows the name of a verb.
const (
	nothing = iota
	number
	duration
	numberDuration
	text
)

func arguments(name string) (int, bool) {
	switch name {
	case "cut", "close", "extra", "reset", "stall", "big", "bomb":
		return number, true
	case "slow":
		return duration, true
	case "drip":
		return numberDuration, true
	case "redirect":
		return text, true
	case "ok", "hang", "refuse", "html-200", "listing", "empty-200", "304-bare", "206-plain", "gzip-body", "zstd-body",
		"gzip-label", "lie", "no-range", "replace", "change-mid-resume", "swap", "back", "vanish", "loop":
		return nothing, true
	}
	return 0, false
}

// parseVerbs reads orders, one verb for each request.
func parseVerbs(orders []string) ([]verb, error) {
	var verbs []verb
	for _, order := range orders {
		v, times, err := parseVerb(order)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", order, err)
		}
		verbs = append(verbs, slices.Repeat([]verb{v}, times)...)
	}
	return verbs, nil
}

func parseVerb(order string) (v verb, times int, err error) {
	words := strings.Fields(order)
	if len(words) > 0 && words[0] == "always" {
		v.always, words = true, words[1:]
	}
	times = 1
	if last := len(words) - 1; last > 0 && strings.HasPrefix(words[last], "x") {
		if times, err = strconv.Atoi(words[last][1:]); err != nil || times < 1 {
			return v, 0, fmt.Errorf("how many times is %q?", words[last])
		}
		words = words[:last]
	}
	if len(words) == 0 {
		return v, 0, fmt.Errorf("there is no verb")
	}
	v.name, words = words[0], words[1:]
	if status, err := strconv.Atoi(v.name); err == nil && status >= 200 && status <= 599 {
		v.name, v.status = "status", status
		if len(words) > 0 {
			v.text, words = words[0], words[1:]
		}
	} else {
		kind, ok := arguments(v.name)
		if !ok {
			return v, 0, fmt.Errorf("there is no verb %q", v.name)
		}
		if words, err = v.read(kind, words); err != nil {
			return v, 0, err
		}
	}
	if len(words) > 0 {
		return v, 0, fmt.Errorf("what is %q?", words[0])
	}
	return v, times, nil
}

// read takes a verb's arguments and returns the words behind them.
func (v *verb) read(kind int, words []string) (rest []string, err error) {
	take := func() (string, error) {
		if len(words) == 0 {
			return "", fmt.Errorf("%s says too little", v.name)
		}
		word := words[0]
		words = words[1:]
		return word, nil
	}
	if kind == number || kind == numberDuration {
		word, err := take()
		if err != nil {
			return nil, err
		}
		if v.n, err = strconv.ParseInt(word, 10, 64); err != nil {
			return nil, err
		}
	}
	if kind == duration || kind == numberDuration {
		word, err := take()
		if err != nil {
			return nil, err
		}
		if v.d, err = time.ParseDuration(word); err != nil {
			return nil, err
		}
	}
	if kind == text {
		if v.text, err = take(); err != nil {
			return nil, err
		}
	}
	return words, nil
}
