package millpond_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"millpond/fetch/faulty"
	"millpond/internal/cli"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(waiting{m}, map[string]func(){"millpond": func() {
		signals := make(chan os.Signal, 4)
		signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
		os.Exit(cli.Main(context.Background(), cli.Process{
			Args: os.Args[1:], In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Version: "test", Signals: signals, Exit: os.Exit,
		}))
	}})
}

// waiting runs tests that mostly wait for programs that they have started: more of them at once than there are processors,
// unless -parallel says how many.
type waiting struct{ *testing.M }

func (m waiting) Run() int {
	flag.Parse()
	asked := false
	flag.Visit(func(f *flag.Flag) { asked = asked || f.Name == "test.parallel" })
	if !asked {
		if err := flag.Set("test.parallel", strconv.Itoa(2*runtime.GOMAXPROCS(0))); err != nil {
			panic(err)
		}
	}
	return m.M.Run()
}

// raceEnv has a pond that is watched for races end when it ends: otherwise each command of it takes a second more, in which
// its last goroutines might still show one.
func raceEnv() string { return "GORACE=" + os.Getenv("GORACE") + " atexit_sleep_ms=0" }

// TestScripts runs the scripts of testdata/script with real clients; README.md there explains their commands.
func TestScripts(t *testing.T) {
	folders, err := filepath.Glob("testdata/script/*/*.txtar")
	if err != nil || len(folders) == 0 {
		t.Fatalf("no scripts are found: %v", err)
	}
	for i := range folders {
		folders[i] = filepath.Dir(folders[i])
	}
	folders = slices.Compact(folders)
	for _, folder := range folders {
		t.Run(filepath.Base(folder), func(t *testing.T) {
			t.Parallel() // and each script of it
			testscript.Run(t, testscript.Params{
				Dir:                 folder,
				Setup:               setUp,
				Condition:           condition,
				RequireExplicitExec: true,
				RequireUniqueNames:  true,
				Cmds: map[string]func(*testscript.TestScript, bool, []string){
					"upstream": cmdUpstream, "githost": cmdGitHost, "order": cmdOrder, "asked": cmdAsked, "gate": cmdGate,
					"pond": cmdPond, "get": cmdGet, "damage": cmdDamage,
					"team": cmdTeam, "approve": cmdApprove, "build": cmdBuild, "send": cmdSend,
				},
			})
		})
	}
}

// A scene is what one script has running.
type scene struct {
	upstreams map[string]*faulty.Server
	gates     map[string]*faulty.Gate // by format and path
	listen    string
	pond      *process // nil if none runs
	log       string   // the file of what it says
}

type sceneKey struct{}

func sceneOf(ts *testscript.TestScript) *scene { return ts.Value(sceneKey{}).(*scene) }

func setUp(env *testscript.Env) error {
	s := &scene{upstreams: map[string]*faulty.Server{}, gates: map[string]*faulty.Gate{}, log: filepath.Join(env.WorkDir, "pond.log")}
	env.Values[sceneKey{}] = s
	var door string
	for _, at := range []*string{&s.listen, &door} {
		listener, err := faulty.Listen()
		if err != nil {
			return err
		}
		defer listener.Close() // when both are found: they are two
		*at = listener.Addr().String()
	}
	env.Defer(func() {
		for _, gate := range s.gates {
			gate.Open()
		}
		s.stop()
		for _, up := range s.upstreams {
			up.Close()
		}
		if err := errors.Join(findSecrets(env.WorkDir), findRaces(s.log)); err != nil {
			env.T().Fatal(err)
		}
	})
	home := filepath.Join(env.WorkDir, "home")
	if err := os.Mkdir(home, 0o755); err != nil {
		return err
	}
	for name, text := range homeFiles {
		path := filepath.Join(home, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	cache, err := goCache()
	if err != nil {
		return err
	}
	for k, v := range map[string]string{
		"HOME": home, "XDG_CACHE_HOME": home + "/cache", "XDG_CONFIG_HOME": home + "/config", "XDG_DATA_HOME": home + "/data",
		"LISTEN": s.listen, "DOOR": door, "POND": "http://" + s.listen, "MILLPOND_URL": "http://" + s.listen, "MILLPOND_DATA": env.WorkDir + "/data",
		"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1", "PIP_RETRIES": "1", "PIP_NO_CACHE_DIR": "1", "PIP_DEFAULT_TIMEOUT": "120",
		"PIP_ROOT_USER_ACTION": "ignore", "PYTHONDONTWRITEBYTECODE": "1", "PIP_NO_COMPILE": "1",
		"UV_NO_CONFIG": "1", "UV_DEFAULT_INDEX": "http://127.0.0.1:1/simple/", "UV_HTTP_RETRIES": "0", "UV_HTTP_TIMEOUT": "120", "UV_PYTHON_DOWNLOADS": "never",
		"POETRY_VIRTUALENVS_IN_PROJECT": "1", "POETRY_KEYRING_ENABLED": "0", "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
		"npm_config_cache": home + "/npm", "npm_config_audit": "false", "npm_config_fund": "false", "npm_config_update_notifier": "false",
		"npm_config_fetch_retries": "0", "pnpm_config_fetch_retries": "0", "npm_config_fetch_timeout": "120000",
		"YARN_ENABLE_TELEMETRY": "0", "YARN_ENABLE_GLOBAL_CACHE": "0", "YARN_IGNORE_PATH": "1", "YARN_HTTP_RETRY": "0",
		"BUN_INSTALL_CACHE_DIR": home + "/bun", "DO_NOT_TRACK": "1", "COREPACK_ENABLE_STRICT": "0",
		"GOPATH": home + "/go", "GOCACHE": cache, "GOFLAGS": "-modcacherw", "GOTOOLCHAIN": "local",
		"GOPROXY": "off", "GOSUMDB": "off", "GONOSUMDB": "", "GOENV": "off", "GOWORK": "off", "GO111MODULE": "on",
	} {
		env.Setenv(k, v)
	}
	for k, v := range cargoSettings(home) {
		env.Setenv(k, v)
	}
	env.Vars = append(env.Vars, raceEnv())
	return nil
}

// goCache is the build cache of whoever runs the tests: the standard library need not be compiled for each script.
var goCache = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("go", "env", "GOCACHE").Output()
	return string(bytes.TrimSpace(out)), err
})

// homeFiles are in every home: a client that a script has not told where to read from reads from nowhere, and go keeps no count
// of its own runs, which it would write when the script is over.
var homeFiles = map[string]string{
	".npmrc":                    "registry=http://127.0.0.1:1/\n",
	".yarnrc.yml":               "npmRegistryServer: http://127.0.0.1:1/\nunsafeHttpWhitelist: [127.0.0.1]\n",
	"cargo/config.toml":         "[source.crates-io]\nreplace-with = \"nowhere\"\n[source.nowhere]\nregistry = \"sparse+http://127.0.0.1:1/\"\n",
	"config/pip/pip.conf":       "[global]\nindex-url = http://127.0.0.1:1/simple/\n",
	"config/go/telemetry/mode":  "off",
	".config/go/telemetry/mode": "off",
}

// condition adds [real]: the upstreams of this machine's own clients can be reached; [crates] and [debs]: that of its cargo, or
// of its apt, can; [cargo]: there is a cargo that speaks to sparse registries with a token; [newnpm]: there is an npm whose tokens
// have names and limits; [mavenrepo]: a distribution's own Maven repository has plugins; [long]: what takes minutes runs too;
// [root]; and [python:NAME]: python3 has a module of that name.
func condition(name string) (bool, error) {
	if module, ok := strings.CutPrefix(name, "python:"); ok {
		return exec.Command("python3", "-c", "import "+module).Run() == nil, nil
	}
	switch name {
	case "real":
		return reachable(), nil
	case "cargo":
		return newCargo(), nil
	case "newnpm":
		return newNPM(), nil
	case "crates":
		return crates(), nil
	case "mavenrepo":
		_, err := os.Stat(mavenTree + "/org/apache/maven/plugins/maven-deploy-plugin")
		return err == nil, nil
	case "long":
		return os.Getenv("MILLPONDTEST_LONG") != "", nil
	case "debs":
		return debs(), nil
	case "root":
		return os.Getuid() == 0, nil
	}
	return false, fmt.Errorf("unknown condition %q", name)
}

var reachable = sync.OnceValue(func() bool {
	out, err := exec.Command("go", "env", "GOPROXY").Output()
	first, _, _ := strings.Cut(strings.TrimSpace(string(out)), ",")
	if err != nil || !strings.HasPrefix(first, "http") {
		return false
	}
	resp, err := (&http.Client{Timeout: 10 * time.Second}).Get(first + "/golang.org/x/mod/@v/v0.20.0.info")
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
})

// newCargo: 1.74 is the first that the scripts can drive; some distributions have older ones.
var newCargo = sync.OnceValue(func() bool {
	out, err := exec.Command("cargo", "--version").Output()
	var major, minor int
	n, _ := fmt.Sscanf(string(out), "cargo %d.%d", &major, &minor)
	return err == nil && n == 2 && (major > 1 || minor >= 74)
})

// newNPM: 11 is the first whose tokens have names and limits.
var newNPM = sync.OnceValue(func() bool {
	out, err := exec.Command("npm", "--version").Output()
	var major int
	n, _ := fmt.Sscanf(string(out), "%d.", &major)
	return err == nil && n == 1 && major >= 11
})

var crates = sync.OnceValue(func() bool {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return exec.CommandContext(ctx, "cargo", "info", "--quiet", "cfg-if").Run() == nil
})

var debs = sync.OnceValue(func() bool {
	out, err := exec.Command("apt-get", "indextargets", "--format", "$(REPO_URI)dists/$(RELEASE)/InRelease").Output()
	first, _, _ := strings.Cut(string(out), "\n")
	if err != nil || !strings.HasPrefix(first, "http") {
		return false
	}
	resp, err := (&http.Client{Timeout: 10 * time.Second}).Get(first)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
})
