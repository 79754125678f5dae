//! Runs helper programs and files, with errors that name what was tried.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::error::{Error, Result};

pub(crate) fn program(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        text.push(' ');
        text.push_str(&argument.to_string_lossy());
    }
    text
}

/// Runs to the end and returns stdout; a failure carries stderr.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(Error::io(program(command)))?;
    finish(command, &output)
}

pub(crate) fn output_with_input(command: &mut Command, input: &[u8]) -> Result<String> {
    let what = program(command);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(Error::io(what.clone()))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that stops early closes the pipe; its exit code tells more than EPIPE.
        let _ = stdin.write_all(input);
    }
    let output = child.wait_with_output().map_err(Error::io(what))?;
    finish(command, &output)
}

fn finish(command: &Command, output: &std::process::Output) -> Result<String> {
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let stdout = String::from_utf8_lossy(&output.stdout);
    Err(Error::Command {
        program: program(command),
        output: format!("{}: {}{}", output.status, stdout.trim(), stderr.trim()),
    })
}

pub(crate) fn find(program: &str) -> Option<PathBuf> {
    // Debian keeps sbin out of an ordinary user's PATH.
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/local/sbin:/usr/sbin:/sbin";
    path.split(':')
        .map(|folder| Path::new(folder).join(program))
        .find(|file| file.is_file())
}

pub(crate) fn write(path: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    fs::write(path, content).map_err(Error::io(format!("write {}", path.display())))
}

pub(crate) fn create_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(Error::io(format!("create the folder {}", path.display())))
}

/// Asks again and again until the answer is yes. The pause only limits how often it asks.
pub(crate) fn wait_until(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(25));
    }
}

/// The last lines of a log, for error messages.
pub(crate) fn tail(path: &Path) -> String {
    let Ok(bytes) = fs::read(path) else {
        return "(no log)".to_owned();
    };
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    lines
        .get(lines.len().saturating_sub(15)..)
        .unwrap_or_default()
        .join("\n")
}
