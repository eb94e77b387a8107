//! Texts at the end of each help. Lines fit into 80 columns, so that they are not wrapped.

/// Text at the end of `driver -h`.
pub(super) const FIRST_STEPS: &str = "\
Examples:
  Measure 9 points (3 numbers of replicas x 3 batch sizes), two minutes each:
    driver -m vgg -r 1 2 4 -b 1 8 32 -d 120
  Print the plan of that sweep and how long it takes:
    driver -m vgg -r 1 2 4 -b 1 8 32 -d 120 --dry_run

Flags marked ... take several values, separated by spaces or commas.
`driver --help` describes all flags and has more examples.";

/// Text at the end of `driver --help`.
pub(super) const SWEEPS: &str = "\
Flags marked ... take several values, separated by spaces or commas. Flag names
may contain `-` in place of `_`: --batch-sizes 1,2,4.

Examples:
  Measure 24 points (4 numbers of replicas x 6 batch sizes), two minutes each:
    driver -m vgg -r 1 2 3 4 -b 1 2 4 8 16 32 -d 120
  Print the plan of that sweep and how long it takes:
    driver -m vgg -r 1 2 3 4 -b 1 2 4 8 16 32 -d 120 --dry_run
  Send pictures from a folder:
    driver -m inception --input_dir ~/photographs
  Give each replica 1 or 2 cores of its own, out of cores 2 to 7:
    driver -m svm -c 2-7 -r 1 2 3 -p 1 2 -b 32
  Find the highest rate whose p99 is within 20 ms, and recommend a
  configuration for 5000 queries per second:
    driver -m lgbm -b 1 8 64 --slo_ms 20 --target_qps 5000
  Measure every point five times; the table shows medians:
    driver -m lgbm -b 8 64 --repeats 5
  Measure the cost of frontend and protocol alone, for five seconds:
    driver -m noop -b 32 -d 5 --mode saturate
  Run frontend and replicas in containers, two cores per replica:
    driver -m vgg --manager docker -r 1 2 -p 2
  Check that the served answers are as accurate as the artifact:
    driver -m svm --accuracy -r 1 2 -b 1 32
  Read flags from a file, but measure each point for 30 seconds:
    driver --config nightly.toml -d 30
  Continue an interrupted sweep:
    driver --resume results/vgg-261126_090000
  Compare two sweeps, with significance:
    driver compare results/before results/after

File for --config (precedence: command line, file, environment):
  model_name = \"lgbm\"
  batch_sizes = [1, 8, 64]
  model_cpus = \"2-7\"
  no_baseline = true

Terms:
  point        one combination of replicas, cores per replica and batch size
  phase        part of a measurement with one arrival process, such as Poisson
  closed loop  a fixed number of queries in flight: an answer triggers the next
  open loop    queries are sent at given times, even without answers
  baseline     the point with the no-op model: cost of frontend and protocol
  load         offered load of p50 and p99, as a share of queries/s
  fill         mean batch, as a share of the maximum batch size
  VALID        the measurement passed all checks
  SUSPECT      a check found a possible disturbance; its reason says which
  INVALID      the measurement does not hold; its reason says why
  NOT RUN      cores or GPUs are missing, or a process failed

Files in the folder of a sweep, MODEL-YYMMDD_HHMMSS:
  sweep.json                the flags, the plan and the machine
  results-*.json            one result per point and round
  baseline/                 results of the no-op model at the same points
  logs/                     output of the frontend and the replicas
  report.html, summary.csv, summary.md
                            the report, written at the end

Exit status:
  0    Every point is VALID or SUSPECT.
  1    A point is INVALID or NOT RUN, or something failed. INVALID includes lost
       queries, overload, and an accuracy that differs from the artifact's
       offline evaluation. A closed output pipe is not a failure.
  2    Nothing was started: a flag is wrong, no point can run on this machine,
       or another driver uses the folder.
  130  Interrupted by Ctrl-C; continue with --resume.";

pub(super) const SURVEY: &str = "\
A short run of each model determines how long its points are measured. The
survey continues after a point that is SUSPECT or INVALID.

Examples:
  Measure all four models in ten minutes:
    driver survey
  Send pictures from a folder, and take up to 20 minutes:
    driver survey --pictures ~/photographs --minutes 20

Exit status:
  0    Every model was measured, whatever the verdicts.
  1    A model could not be measured.
  2    A flag is wrong.
  130  Interrupted by Ctrl-C.";

pub(super) const SELF_TEST: &str = "\
Examples:
  Measure one client thread with small and large inputs:
    driver self-test";

pub(super) const REPORT: &str = "\
Example:
  Write the report, then open report.html in a browser:
    driver report results/vgg-261126_090000";

pub(super) const COMPARE: &str = "\
Examples:
  Print the ratio B / A of each point:
    driver compare results/before results/after
  Fail in CI if a point loses more than 5 % of its throughput:
    driver compare results/main results/branch --fail_below 0.95 \\
      --junit compare.xml

Exit status:
  0  No limit is broken, or no limit was given.
  1  A limit is broken, or a point cannot be judged: in A or in B it is
     missing, NOT RUN, INVALID or has no confidence interval, in any round.
     With --allow_missing such points pass if at least one point is judged.
     A throughput of 0 in B always fails --fail_below.
  2  The folders cannot be compared.";

pub(super) const IMPORT: &str = "\
Examples:
  Show files of the original driver; missing values are marked:
    driver import old/results-*.json";

pub(super) const CLEAN: &str = "\
The containers of a killed driver stop by themselves; this removes them.

Example:
  Remove the containers and networks of drivers that no longer run:
    driver clean";

pub(super) const SCHEMA: &str = "\
Example:
  Write the schema to a file, for a validator or an editor:
    driver schema > results.schema.json";

pub(super) const COMPLETIONS: &str = "\
Examples:
  Install the completions for bash:
    driver completions bash > ~/.local/share/bash-completion/completions/driver
  Install the completions for fish:
    driver completions fish > ~/.config/fish/completions/driver.fish";

pub(super) const MAN: &str = "\
Examples:
  Install the man page:
    driver man > ~/.local/share/man/man1/driver.1";
