//! `insitu-cluster`: real Kubernetes clusters for tests, from the command line.

mod args;
mod report;

use std::{
    io::{Read, Write},
    process::{Command, ExitCode},
};

use anyhow::{Context, Result, bail};
use clap::Parser;
use cluster::{Cluster, Wanted};

use crate::args::{Action, Args, Named, Up};

fn main() -> ExitCode {
    match run(Args::parse().action) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(action: Action) -> Result<ExitCode> {
    match action {
        Action::Up(up) => start(up)?,
        Action::Down(Named { name }) => cluster::down(&name)?,
        Action::List => {
            for (name, description) in cluster::list()? {
                println!("{name}\t{description}");
            }
        }
        Action::Kubeconfig(Named { name }) => {
            println!("{}", Cluster::find(&name)?.kubeconfig().display());
        }
        Action::Env(Named { name }) => {
            print_env(&Cluster::find(&name)?)?;
        }
        Action::Images { output } => cluster::write_test_images(&output)?,
        Action::Load { file, cluster } => Cluster::find(&cluster.name)?.load_images(&file)?,
        Action::Push { reference, cluster } => Cluster::find(&cluster.name)?.push(&reference)?,
        Action::Image {
            binary,
            name,
            output,
        } => {
            cluster::write_binary_image(&binary, &name, &output)?;
        }
        Action::Requests {
            since,
            agent,
            cluster,
        } => {
            let log = Cluster::find(&cluster.name)?.audit()?;
            print!("{}", report::requests(&log, since, &agent)?);
        }
        Action::Exec { command, cluster } => return exec(&command, &cluster.name),
        Action::Logs { component, cluster } => {
            let path = Cluster::find(&cluster.name)?.log(&component)?;
            let text = std::fs::read(&path);
            let text = text.with_context(|| format!("failed to read {}", path.display()))?;
            std::io::stdout().write_all(&text)?;
        }
        Action::Stop { component, cluster } => {
            Cluster::find(&cluster.name)?.stop_component(&component)?;
        }
        Action::Start { component, cluster } => {
            Cluster::find(&cluster.name)?.start_component(&component)?;
        }
        Action::Build => {
            cluster::build(Wanted::Everything)?;
            println!("{}", cluster::kubectl()?.display());
        }
        Action::Supervise { namespaces } => cluster::supervise(namespaces)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn start(up: Up) -> Result<()> {
    let (options, attached) = up.options();
    if !attached {
        let cluster = Cluster::start_detached(options)?;
        print_env(&cluster)?;
        return Ok(());
    }
    let cluster = Cluster::start(options)?;
    print_env(&cluster)?;
    // Whoever started us holds our stdin; when it dies, so does the cluster.
    let mut rest = Vec::new();
    std::io::stdin().read_to_end(&mut rest)?;
    Ok(cluster.down()?)
}

fn exec(command: &[String], name: &str) -> Result<ExitCode> {
    let Some((program, arguments)) = command.split_first() else {
        bail!("name a command")
    };
    let mut command: Command = Cluster::find(name)?.exec(program);
    let status = command.args(arguments).status();
    let code = status
        .with_context(|| format!("failed to run {program}"))?
        .code();
    Ok(ExitCode::from(
        code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1),
    ))
}

/// Shell lines that point kubectl at `cluster`, and at a kubectl where the machine has none.
fn print_env(cluster: &Cluster) -> anyhow::Result<()> {
    println!("export KUBECONFIG='{}'", cluster.kubeconfig().display());
    let kubectl = cluster::kubectl()?;
    let folder = kubectl.parent().context("kubectl has no folder")?;
    let on_path = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|entry| entry == folder));
    if !on_path {
        println!("export PATH='{}':\"$PATH\"", folder.display());
    }
    Ok(())
}
