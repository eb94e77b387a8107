//! What a reader of `--help` gets besides the texts of the flags.

/// Under `driver -h`.
pub(super) const FIRST_STEPS: &str = "\
Examples:
  driver -m vgg -r 1 2 4 -b 1 8 32 -d 120     9 points of two minutes
  driver -m vgg -r 1 2 4 -b 1 8 32 --dry_run  what would be measured, and how long it would take
`driver --help` explains every flag, and has more examples.";

/// Under `driver --help`.
pub(super) const SWEEPS: &str = "\
In a flag's name - and _ are the same.

Examples:
  driver -m vgg -r 1 2 3 4 -b 1 2 4 8 16 32 -d 120    24 points of two minutes
  driver -m vgg -r 1 2 3 4 -b 1 2 4 8 16 32 --dry_run what that would take
  driver -m inception --input_dir ~/photographs       real pictures
  driver -m svm -c 2-7 -r 1 2 3 -p 1 2 -b 32          replicas on cores of their own
  driver -m lgbm -b 1 8 64 --slo_ms 20 --target_qps 5000
                                                      the highest rate within 20 ms, and what 5000 a second take
  driver -m lgbm -b 8 64 --repeats 5                  five rounds: the median, and how much it varies
  driver -m noop -b 32 -d 5 --mode saturate           what frontend and protocol cost
  driver -m vgg --manager docker -r 1 2 -p 2          in containers with cores of their own
  driver -m svm --accuracy -r 1 2 -b 1 32             are the served answers right?
  driver --config nightly.toml -d 30                  flags from a file, but half a minute for each point
  driver --resume results/vgg-261126_090000           go on where a sweep was stopped
  driver compare results/before results/after         is it faster, and is that significant?

A file for --config has flags by their long names, for instance:
  model_name = \"lgbm\"
  batch_sizes = [1, 8, 64]
  model_cpus = \"2-7\"
  no_zero = true
What is typed wins over the file, and the file over the environment.

Each sweep makes a folder of its own, MODEL-YYMMDD_HHMMSS, with sweep.json (what was asked for, of which machine),
a results-*.json for each point, written before the next one begins, those of the no-op model in zero/, the logs of all
processes in logs/, and report.html, summary.csv and summary.md at the end.

Exit status:
  0    every number is of what was asked for
  1    a point could not run, failed, has a query that was not answered or the verdict INVALID, or is not as accurate as
       the artifact's offline evaluation; or standard output takes nothing (a pipe that its reader closes is no error)
  2    a flag that makes no sense, nothing of what is asked for can run, or another driver measures into the folder:
       nothing was started
  130  stopped by Ctrl-C; --resume goes on";

pub(super) const SURVEY: &str = "\
A trial of a few seconds shows how long the points of a model take. A point that is SUSPECT or INVALID is reported, and the
survey continues.

Examples:
  driver survey                                    all four models in ten minutes
  driver survey --pictures ~/photographs --minutes 20
  driver survey --models svm lgbm --batch_sizes 1 32

Exit status:
  0    every model was measured, whatever the verdicts
  1    a model could not be measured at all
  2    a flag that makes no sense
  130  stopped by Ctrl-C";

pub(super) const SELF_TEST: &str = "\
Examples:
  driver self-test                            one client, small and large inputs
  driver self-test -n 4 --in_flight 512       is it faster with four threads?";

pub(super) const REPORT: &str = "\
Example:
  driver report results/vgg-261126_090000     then open report.html in a browser";

pub(super) const COMPARE: &str = "\
Examples:
  driver compare results/before results/after
  driver compare results/main results/branch --fail_below 0.95 --junit compare.xml
                                              for CI: fails if 5 % of the throughput are lost

Exit status:
  0  no limit is broken, or none was given
  1  one is broken, or a point could not be judged: it is missing, NOT RUN, INVALID or without an interval in A or B, in
     one of its rounds or in all (--allow_missing lets these pass, as long as there is a point that could be judged);
     a throughput of 0 in B always fails --fail_below
  2  folders that cannot be compared";

pub(super) const IMPORT: &str = "\
Examples:
  driver import old/results-*.json       one table; what the old files lack is marked
  driver import old results/vgg-*        the original's beside ours";

pub(super) const CLEAN: &str = "\
Containers of a killed driver end by themselves; this removes what is left of them.

Example:
  driver clean";

pub(super) const SCHEMA: &str = "\
Example:
  driver schema > results.schema.json         for a validator or an editor";

pub(super) const COMPLETIONS: &str = "\
Examples:
  driver completions bash > ~/.local/share/bash-completion/completions/driver
  driver completions fish > ~/.config/fish/completions/driver.fish
  driver completions zsh > ~/.zfunc/_driver   with ~/.zfunc in fpath";

pub(super) const MAN: &str = "\
Examples:
  driver man > ~/.local/share/man/man1/driver.1
  driver man | man -l -                       without installing it";
