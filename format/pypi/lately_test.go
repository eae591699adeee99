package pypi

import (
	"fmt"
	"maps"
	"testing"
)

func TestLately(t *testing.T) {
	l := &lately{}
	l.put("alpha", "one", map[string]int64{"upstream": 7})
	if got, ok := l.get("alpha", "one"); !ok || !maps.Equal(got, map[string]int64{"upstream": 7}) {
		t.Errorf("of alpha in the view that was asked for it keeps %v, %t", got, ok)
	}
	if got, ok := l.get("alpha", "two"); ok {
		t.Errorf("of alpha in another view it keeps %v", got)
	}
	for i := range 3 * mostLately {
		l.put(fmt.Sprint(i), "one", nil)
	}
	if len(l.said) > mostLately {
		t.Errorf("it keeps %d names, %d at most", len(l.said), mostLately)
	}
	var none *lately
	none.put("alpha", "one", nil)
	if _, ok := none.get("alpha", "one"); ok {
		t.Error("what keeps nothing has something")
	}
}
