package main

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

type githubWorkflow struct {
	On struct {
		Push struct{ Branches []string }
	}
	Permissions map[string]string
	Defaults    struct {
		Run struct {
			Shell            string
			WorkingDirectory string `yaml:"working-directory"`
		}
	}
	Jobs map[string]githubJob
}

type githubJob struct {
	Environment string
	Permissions map[string]string
	Steps       []githubStep
}

type githubStep struct {
	Name, If, Uses, Run string
	With                map[string]yaml.Node
	Env                 map[string]string
}

// githubRun is one run of a job.
type githubRun struct {
	*ciProject
	workflow             githubWorkflow
	dir, temp            string
	commit               string
	context              map[string]string
	failed               bool
	log, summary, output string
}

// github runs a job of the workflow for a commit.
func (p *ciProject) github(job, commit string, context map[string]string) *githubRun {
	p.t.Helper()
	r := &githubRun{ciProject: p, commit: commit, temp: filepath.Join(p.t.TempDir(), "temp"), context: map[string]string{
		"github.server_url": "https://github.example", "github.api_url": p.comments.URL, "github.repository": "acme/texts",
		"github.run_id": "99", "github.run_attempt": "1", "github.token": ciToken,
		"github.base_ref": "main", "github.event.pull_request.number": "7", "github.event.pull_request.head.sha": commit,
		"vars.QUERN_AWS_ROLE != ''": "false", "always()": "true",
		"github.event.pull_request.head.repo.full_name == github.repository": "true",
	}}
	maps.Copy(r.context, context)
	r.context["runner.temp"] = r.temp
	if err := os.MkdirAll(r.temp, 0o755); err != nil {
		p.t.Fatal(err)
	}
	p.readYAML(".github/workflows/quern-pipelines-text.yml", &r.workflow)
	for _, step := range r.workflow.Jobs[job].Steps {
		r.step(step)
	}
	return r
}

func (r *githubRun) step(s githubStep) {
	r.t.Helper()
	condition := strings.TrimSuffix(strings.TrimPrefix(s.If, "${{ "), " }}")
	// Without a function of the status, a condition implies success.
	if !strings.Contains(condition, "()") {
		condition = strings.TrimPrefix(condition+" && success()", " && ")
	}
	for part := range strings.SplitSeq(condition, " && ") {
		if !r.holds(part) {
			return
		}
	}
	if s.Uses != "" {
		r.uses(s)
		return
	}
	err := r.shell(s)
	if err != nil {
		r.failed = true
	}
}

// holds evaluates a condition without operators other than those of the context.
func (r *githubRun) holds(condition string) bool {
	r.t.Helper()
	switch {
	case condition == "success()":
		return !r.failed
	case condition == "!cancelled()":
		return true
	case condition == "steps.plan.outputs.changes == 'true'":
		return strings.Contains(r.output, "changes=true\n")
	}
	value, ok := r.context[condition]
	if !ok {
		r.t.Fatalf("the test does not know whether %q", condition)
	}
	return value == "true"
}

var githubExpression = regexp.MustCompile(`\$\{\{ (.*?) \}\}`)

func (r *githubRun) text(s string) string {
	return githubExpression.ReplaceAllStringFunc(s, func(e string) string {
		name := githubExpression.FindStringSubmatch(e)[1]
		value, ok := r.context[name]
		if !ok {
			r.t.Fatalf("the test does not know %s", e)
		}
		return value
	})
}

func (r *githubRun) with(s githubStep, name string) string {
	node := s.With[name]
	return r.text(node.Value)
}

func (r *githubRun) uses(s githubStep) {
	r.t.Helper()
	action, _, _ := strings.Cut(s.Uses, "@")
	switch path := r.with(s, "path"); action {
	case "actions/checkout":
		if r.with(s, "persist-credentials") != "false" {
			r.t.Error("the checkout keeps the token")
		}
		r.dir = r.checkout(r.commit, r.with(s, "fetch-depth") == "0")
	case "actions/cache/restore":
		r.restore(filepath.Join(r.dir, path))
	case "actions/cache/save":
		r.save(filepath.Join(r.dir, path))
	case "actions/upload-artifact":
		for file := range strings.FieldsSeq(path) {
			if _, err := os.Stat(file); err == nil {
				at := filepath.Join(r.ciProject.dir, "artifacts", filepath.Base(file))
				r.copyTree(file, at)
				r.stored[r.with(s, "name")+"/"+filepath.Base(file)] = at
			}
		}
	case "actions/download-artifact":
		for name, at := range r.stored {
			if folder, file := filepath.Split(name); folder == r.with(s, "name")+"/" {
				r.copyTree(at, filepath.Join(path, file))
			}
		}
	default:
		r.t.Fatalf("the test does not know the action %s", action)
	}
}

func (r *githubRun) shell(s githubStep) error {
	output, summary := filepath.Join(r.temp, "output"), filepath.Join(r.temp, "summary")
	env := []string{"GITHUB_OUTPUT=" + output, "GITHUB_STEP_SUMMARY=" + summary, "RUNNER_TEMP=" + r.temp}
	for name, value := range s.Env {
		env = append(env, name+"="+r.text(value))
	}
	if githubExpression.MatchString(s.Run) {
		r.t.Errorf("%s has an expression in its script, where its value would be code", s.Name)
	}
	script := filepath.Join(r.temp, "script.sh")
	r.write(script, s.Run)
	defaults := r.workflow.Defaults.Run
	if defaults.Shell != "bash" {
		r.t.Errorf("the shell is %q", defaults.Shell)
	}
	out, err := r.run(filepath.Join(r.dir, defaults.WorkingDirectory), env, "bash", "--noprofile", "--norc", "-eo", "pipefail", script)
	r.log += "# " + s.Name + "\n" + out
	if text, err := os.ReadFile(output); err == nil {
		r.output = string(text)
	}
	if text, err := os.ReadFile(summary); err == nil {
		r.summary = string(text)
	}
	return err
}

func (r *githubRun) must() *githubRun {
	r.t.Helper()
	if r.failed {
		r.t.Fatalf("the job failed:\n%s", r.log)
	}
	return r
}

func (r *githubRun) mustFail(want ...string) {
	r.t.Helper()
	if !r.failed {
		r.t.Errorf("the job succeeded:\n%s", r.log)
	}
	wantText(r.t, r.log, want...)
}

func TestTheShellStepsOfTheGitHubWorkflowRun(t *testing.T) {
	p := newCIProject(t, "github")
	p.install(map[string]string{"pip": "'install quern-dev==" + version + "'"})
	first := p.git(p.work, "rev-parse", "HEAD")

	// A merge is planned, and the saved plan applied. Nothing is left to do then.
	p.github("plan", first, nil).must()
	apply := p.github("apply", first, nil).must()
	wantText(t, apply.log, "module.text.transform.upper")
	if len(p.cached) != 1 {
		t.Fatalf("the store was saved %d times", len(p.cached))
	}
	if again := p.github("plan", first, nil).must(); !strings.Contains(again.output, "changes=false") {
		t.Errorf("the second plan has changes:\n%s", again.summary)
	}

	// A pull request uses another version of the module. Its plan covers only what
	// changes, although only the lock file of the base knows the earlier version.
	p.git(p.work, "checkout", "-q", "-b", "longer")
	p.change("longer", "?ref=v1", "?ref=v2")
	p.quern("init", "-upgrade")
	longer := p.commit(p.work, "lock")
	p.git(p.work, "push", "-q", "-f", "origin", "longer")
	check := p.github("check", longer, nil).must()
	comment := p.comments.expect(1, 0)
	wantText(t, comment, "<!-- quern plan: pipelines/text -->\n### quern plan: ", "`module.text.transform.upper`", "Plan of "+longer, "(https://github.example/acme/texts/actions/runs/99)")
	if strings.Contains(comment, "transform.other") {
		t.Errorf("the comment shows what does not change:\n%s", comment)
	}
	wantText(t, check.summary, "### quern plan: ")
	if p.stored["quern-pipelines-text-check/plan.txt"] == "" {
		t.Error("the complete plan was not kept")
	}

	// The next push edits the comment. One of a fork writes none.
	p.github("check", longer, nil).must()
	p.comments.expect(1, 1)
	p.github("check", longer, map[string]string{"github.event.pull_request.head.repo.full_name == github.repository": "false"}).must()
	p.comments.expect(1, 1)

	// A plan that fails is reported in the comment, too.
	wrong := p.change("wrong", `path = "texts.csv"`, `path = "missing.csv"`)
	p.github("check", wrong, nil).mustFail("missing.csv")
	wantText(t, p.comments.expect(1, 2), "### quern plan: failed", "Plan of "+wrong)
	unformatted := p.change("unformatted", `source "csv"`, `source   "csv"`)
	p.github("check", unformatted, nil).mustFail("main.quern.hcl")
	wantText(t, p.comments.expect(1, 3), "### quern plan: failed", "Plan of "+unformatted)

	// A plan that was overtaken by another apply is refused.
	p.github("plan", longer, nil).must()
	late := p.stored["quern-pipelines-text-plan/quern.plan"]
	if err := os.Rename(late, late+".late"); err != nil {
		t.Fatal(err)
	}
	p.git(p.work, "checkout", "-q", first)
	other := p.change("other", "lower(row.text)", "trimspace(row.text)")
	p.github("plan", other, nil).must()
	p.github("apply", other, nil).must()
	if err := os.Rename(late+".late", late); err != nil {
		t.Fatal(err)
	}
	p.github("apply", longer, nil).mustFail("state")

	// Drift.
	p.github("drift", other, nil).must()
	if err := os.RemoveAll(filepath.Join(p.dir, "live")); err != nil {
		t.Fatal(err)
	}
	drift := p.github("drift", other, nil)
	drift.mustFail("::error::A source or a deployment has changed")
	wantText(t, drift.summary, "deploy.live")
}

func TestTheGitHubWorkflowHasMinimalPermissions(t *testing.T) {
	p := newCIProject(t, "github")
	var w githubWorkflow
	p.readYAML(".github/workflows/quern-pipelines-text.yml", &w)
	want := map[string]map[string]string{
		"check": {"contents": "read", "pull-requests": "write"},
		"plan":  {"contents": "read", "id-token": "write"},
		"apply": {"contents": "read", "id-token": "write"},
		"drift": {"contents": "read", "id-token": "write"},
	}
	if !maps.Equal(w.Permissions, map[string]string{"contents": "read"}) {
		t.Errorf("the workflow may %v", w.Permissions)
	}
	pinned := regexp.MustCompile(`^[\w/-]+@[0-9a-f]{40}$`)
	for name, job := range w.Jobs {
		if !maps.Equal(job.Permissions, want[name]) {
			t.Errorf("%s may %v", name, job.Permissions)
		}
		if (job.Environment == "production") != (name == "apply") {
			t.Errorf("%s has the secrets of %q", name, job.Environment)
		}
		for _, s := range job.Steps {
			if s.Uses != "" && !pinned.MatchString(s.Uses) {
				t.Errorf("%s is not pinned", s.Uses)
			}
		}
	}
	linter, err := filepath.Glob("../../.cache/tools/actionlint-*")
	if err != nil || len(linter) == 0 {
		t.Skip("actionlint is installed by make lint")
	}
	cmd := exec.Command(linter[len(linter)-1], filepath.Join(p.work, ".github", "workflows", "quern-pipelines-text.yml"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("actionlint: %v\n%s", err, out)
	}
}
