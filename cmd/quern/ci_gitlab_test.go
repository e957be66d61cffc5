package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

type gitlabJob struct {
	Extends, Image, Stage, Timeout string
	Variables                      map[string]string
	Cache                          struct {
		Key, Policy, When string
		Paths             []string
	}
	BeforeScript []string `yaml:"before_script"`
	AfterScript  []string `yaml:"after_script"`
	Script       []string
	Rules        []struct{ If string }
	Environment  string
	Needs        []string
	IDTokens     map[string]struct{ Aud string } `yaml:"id_tokens"`
	Artifacts    struct {
		Access string
		Paths  []string
	}
	Group        string `yaml:"resource_group"`
	AllowFailure struct {
		Codes int `yaml:"exit_codes"`
	} `yaml:"allow_failure"`
}

const gitlabFile = ".gitlab/quern-pipelines-text.yml"

// gitlab runs a job for a commit, and returns what it printed and whether it succeeded.
func (p *ciProject) gitlab(job, commit string, variables map[string]string) (log string, ok bool) {
	p.t.Helper()
	var jobs map[string]gitlabJob
	p.readYAML(gitlabFile, &jobs)
	j, base := jobs["quern-pipelines-text-"+job], jobs[".quern-pipelines-text"]
	if j.Extends != ".quern-pipelines-text" || len(j.Script) == 0 {
		p.t.Fatalf("%s is not a job: %+v", job, j)
	}
	dir := p.checkout(commit, base.Variables["GIT_DEPTH"] == "0")
	temp := p.t.TempDir()
	env := []string{
		"TMPDIR=" + temp, "CI_PROJECT_DIR=" + dir, "CI_COMMIT_SHA=" + commit, "CI_JOB_URL=https://gitlab.example/acme/texts/-/jobs/99",
		"CI_API_V4_URL=" + p.comments.URL, "CI_PROJECT_ID=12", "CI_MERGE_REQUEST_IID=7",
		"CI_MERGE_REQUEST_DIFF_BASE_SHA=" + p.git(dir, "merge-base", "origin/main", commit),
	}
	for _, more := range []map[string]string{base.Variables, j.Variables, variables} {
		for name, value := range more {
			env = append(env, name+"="+value)
		}
	}
	for _, path := range base.Cache.Paths {
		p.restore(filepath.Join(dir, path))
	}
	for name, at := range p.stored {
		if slices.Contains(j.Needs, "quern-pipelines-text-plan") {
			p.copyTree(at, filepath.Join(dir, name))
		}
	}
	// GitLab's runner joins the lines of a job to one script.
	script := filepath.Join(temp, "script.sh")
	p.write(script, "set -eo pipefail\n"+strings.Join(append(slices.Clone(base.BeforeScript), j.Script...), "\n")+"\n")
	log, err := p.run(dir, env, "bash", script)
	// What comes after is a process of its own, whose failure does not count for GitLab.
	p.write(script, strings.Join(j.AfterScript, "\n")+"\n")
	if after, err := p.run(dir, env, "bash", script); err != nil {
		p.t.Errorf("after_script: %v\n%s", err, after)
	}
	if j.Cache.Policy == "pull-push" && (err == nil || j.Cache.When == "always") {
		p.save(filepath.Join(dir, j.Cache.Paths[0]))
	}
	for _, path := range j.Artifacts.Paths {
		if _, err := os.Stat(filepath.Join(dir, path)); err == nil {
			p.stored[path] = filepath.Join(dir, path)
		}
	}
	return log, err == nil
}

func (p *ciProject) gitlabMust(job, commit string, variables map[string]string) string {
	p.t.Helper()
	log, ok := p.gitlab(job, commit, variables)
	if !ok {
		p.t.Fatalf("%s failed:\n%s", job, log)
	}
	return log
}

func (p *ciProject) gitlabMustFail(job, commit string, variables map[string]string, want ...string) {
	p.t.Helper()
	log, ok := p.gitlab(job, commit, variables)
	if ok {
		p.t.Errorf("%s succeeded:\n%s", job, log)
	}
	wantText(p.t, log, want...)
}

func TestTheScriptsOfTheGitLabPipelineRun(t *testing.T) {
	p := newCIProject(t, "gitlab")
	p.install(map[string]string{
		"pip":     "'install --quiet --root-user-action=ignore quern-dev==" + version + "'",
		"apt-get": "'update -qq'|'install -qq --no-install-recommends git curl jq'",
	})
	first := p.git(p.work, "rev-parse", "HEAD")
	p.gitlabMust("plan", first, nil)
	wantText(t, p.gitlabMust("apply", first, nil), "module.text.transform.upper")
	wantText(t, p.gitlabMust("plan", first, nil), "No changes")
	wantText(t, p.gitlabMust("apply", first, nil), "o changes")

	p.change("longer", "?ref=v1", "?ref=v2")
	p.quern("init", "-upgrade")
	longer := p.commit(p.work, "lock")
	p.git(p.work, "push", "-q", "-f", "origin", "longer")
	member := map[string]string{"QUERN_GITLAB_TOKEN": ciToken}
	p.gitlabMust("check", longer, member)
	comment := p.comments.expect(1, 0)
	wantText(t, comment, "<!-- quern plan: pipelines/text -->\n### quern plan: ", "`module.text.transform.upper`", "Plan of "+longer, "(https://gitlab.example/acme/texts/-/jobs/99)")
	if strings.Contains(comment, "transform.other") {
		t.Errorf("the comment shows what does not change:\n%s", comment)
	}
	p.gitlabMust("check", longer, member)
	p.comments.expect(1, 1)
	p.gitlabMust("check", longer, nil) // a fork
	p.comments.expect(1, 1)

	wrong := p.change("wrong", `path = "texts.csv"`, `path = "missing.csv"`)
	p.gitlabMustFail("check", wrong, member, "missing.csv")
	wantText(t, p.comments.expect(1, 2), "### quern plan: failed", "Plan of "+wrong)

	// A plan that was overtaken by another apply is refused.
	p.gitlabMust("plan", longer, nil)
	plan := "quern-pipelines-text.plan"
	late := p.stored[plan]
	p.git(p.work, "checkout", "-q", first)
	other := p.change("other", "lower(row.text)", "trimspace(row.text)")
	p.gitlabMust("plan", other, nil)
	p.gitlabMust("apply", other, nil)
	p.stored[plan] = late
	p.gitlabMustFail("apply", longer, nil, "state")

	// The token of the job is what AWS gets, and only its owner can read it.
	p.install(map[string]string{"pip": "*"})
	p.write(filepath.Join(p.dir, "installers", "quern"), fmt.Sprintf("#!/bin/sh\nstat -c %%a \"$AWS_WEB_IDENTITY_TOKEN_FILE\"\ncat \"$AWS_WEB_IDENTITY_TOKEN_FILE\"\nexec %s \"$@\"\n", filepath.Join(binaries, "quern")))
	if err := os.Chmod(filepath.Join(p.dir, "installers", "quern"), 0o755); err != nil {
		t.Fatal(err)
	}
	cloud := map[string]string{"QUERN_AWS_ROLE": "arn:aws:iam::1:role/quern", "QUERN_ID_TOKEN": "j.w.t"}
	wantText(t, p.gitlabMust("drift", other, cloud), "600\nj.w.t")
	if err := os.RemoveAll(filepath.Join(p.dir, "live")); err != nil {
		t.Fatal(err)
	}
	p.gitlabMustFail("drift", other, cloud, "deploy.live")
}

func TestTheGitLabPipelineIsIncludable(t *testing.T) {
	p := newCIProject(t, "gitlab")
	var main struct{ Include []struct{ Local string } }
	p.readYAML(".gitlab-ci.yml", &main)
	if len(main.Include) != 1 || main.Include[0].Local != "/"+gitlabFile {
		t.Errorf(".gitlab-ci.yml includes %v", main.Include)
	}
	var jobs map[string]gitlabJob
	p.readYAML(gitlabFile, &jobs)
	for name, job := range jobs {
		if !strings.Contains(name, "quern-pipelines-text") {
			t.Errorf("%q would change other jobs", name)
		}
		if strings.HasPrefix(name, ".") {
			continue
		}
		if !slices.Contains([]string{"build", "test", "deploy"}, job.Stage) || len(job.Rules) != 1 {
			t.Errorf("%s is in the stage %q with the rules %v", name, job.Stage, job.Rules)
		}
		apply, check := strings.HasSuffix(name, "-apply"), strings.HasSuffix(name, "-check")
		if (job.Environment == "production") != apply || (job.Group != "") != apply || (job.Cache.Policy == "pull-push") != apply || (job.AllowFailure.Codes == 3) != apply {
			t.Errorf("%s: %+v", name, job)
		}
		if (len(job.IDTokens) == 0) != check {
			t.Errorf("%s has the tokens %v", name, slices.Collect(maps.Keys(job.IDTokens)))
		}
	}
}
