package millpond_test

import (
	"encoding/json"
	"testing"

	"millpond"
)

func TestOpinionsAreWordsInJSON(t *testing.T) {
	for o := millpond.Pass; o <= millpond.Need; o++ {
		b, err := json.Marshal(millpond.Verdict{Opinion: o})
		if err != nil || string(b) != `{"opinion":"`+o.String()+`"}` {
			t.Errorf("%v is %s, %v in JSON", o, b, err)
		}
		var back millpond.Verdict
		if err := json.Unmarshal(b, &back); err != nil || back.Opinion != o {
			t.Errorf("%s is read as %v, %v; want %v", b, back.Opinion, err, o)
		}
	}
	var v millpond.Verdict
	if err := json.Unmarshal([]byte(`{"opinion":"perhaps"}`), &v); err == nil {
		t.Error("an opinion that nobody has is read")
	}
}
