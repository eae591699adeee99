package pear

import (
	"strings"
	"testing"
)

func TestSerialGrammar(t *testing.T) {
	deep := func(n int) string { return strings.Repeat(`a:1:{i:0;`, n) + "N;" + strings.Repeat("}", n) }
	for text, want := range map[string]bool{
		"b:0;": true, "b:1;\n": true, "N;": true, "i:-3;": true, "d:0.5;": true, `s:2:"é";`: true, `s:0:"";`: true, "a:0:{}": true,
		`a:1:{s:8:"required";a:1:{s:3:"php";a:1:{s:3:"min";s:5:"5.2.0";}}}`: true, deep(16): true,
		deep(17): false, `O:8:"stdClass":0:{}`: false, `a:1:{i:0;O:8:"stdClass":0:{}}`: false, `C:1:"x":0:{}`: false, "R:1;": false, "r:1;": false, `E:3:"A:B";`: false,
		`s:3:"ab";`: false, `s:1:"ab";`: false, "a:2:{i:0;i:1;}": false, "a:1:{i:0;i:1;": false, "b:2;": false, "i:x;": false, "": false, "i:1;i:2;": false,
		"a:99999999:{}": false, `a:1:{a:0:{}i:1;}`: false, "<html>": false, "s:4294967299:\"\";": false, `S:1:"a";`: false,
	} {
		if err := checkSerial(text); (err == nil) != want {
			t.Errorf("checkSerial(%.60q) is %v, want well %v", text, err, want)
		}
	}
	if err := checkSerial(`s:2000000:"` + strings.Repeat("x", 2000000) + `";`); err == nil {
		t.Error("two MiB are taken")
	}
}

func FuzzSerial(f *testing.F) {
	f.Add(`a:1:{s:8:"required";a:1:{s:3:"php";s:5:"5.2.0";}}`)
	f.Add(`O:8:"stdClass":0:{}`)
	f.Fuzz(func(t *testing.T, text string) {
		if checkSerial(text) == nil && (strings.HasPrefix(text, "O:") || strings.HasPrefix(text, "C:")) {
			t.Errorf("an object is taken: %q", text)
		}
	})
}

// What we write is what PEAR's own reader makes of the same elements.
func TestDepsAreSerialised(t *testing.T) {
	root, err := readXML(strings.NewReader(`<dependencies>
 <required><php><min>5.2.0</min></php><package><name>A</name><channel>c</channel></package><package><name>B</name><channel>c</channel><conflicts/></package></required>
 <group hint="more" name="g"><extension><name>é</name></extension></group></dependencies>`))
	if err != nil {
		t.Fatal(err)
	}
	got := serialDeps(root)
	const want = `a:2:{s:8:"required";a:2:{s:3:"php";a:1:{s:3:"min";s:5:"5.2.0";}s:7:"package";a:2:{i:0;a:2:{s:4:"name";s:1:"A";s:7:"channel";s:1:"c";}` +
		`i:1;a:3:{s:4:"name";s:1:"B";s:7:"channel";s:1:"c";s:9:"conflicts";s:0:"";}}}` +
		`s:5:"group";a:2:{s:7:"attribs";a:2:{s:4:"hint";s:4:"more";s:4:"name";s:1:"g";}s:9:"extension";a:1:{s:4:"name";s:2:"é";}}}`
	if got != want {
		t.Errorf("serialised:\n%s\nwant\n%s", got, want)
	}
	if err := checkSerial(got); err != nil {
		t.Errorf("and it is not taken: %v", err)
	}
	if got := serialDeps(&node{}); got != "b:0;" {
		t.Errorf("no dependencies: %q", got)
	}
}
