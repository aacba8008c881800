//! Which lines of the sources are code that counts: no tests, no comments, no lone punctuation.

use std::path::{Path, PathBuf};

/// Stands before what is compiled for tests only.
const TEST: &str = "#[cfg(test)]";

/// The source files below a directory that are no tests, with their texts, in order.
pub(crate) fn files(directory: &Path) -> Result<Vec<(PathBuf, String)>, String> {
    let mut files = Vec::new();
    read(directory, &mut files)?;
    let tests: Vec<PathBuf> = files.iter().flat_map(|(file, text)| test_files(file, text)).collect();
    files.retain(|(file, _)| !tests.contains(file));
    files.sort();
    Ok(files)
}

fn read(directory: &Path, files: &mut Vec<(PathBuf, String)>) -> Result<(), String> {
    let told = |error: std::io::Error| format!("{}: {error}", directory.display());
    for entry in std::fs::read_dir(directory).map_err(told)? {
        let path = entry.map_err(told)?.path();
        if path.is_dir() {
            read(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).map_err(told)?;
            files.push((path, text));
        }
    }
    Ok(())
}

/// The files of modules that this file declares for tests only.
fn test_files(file: &Path, text: &str) -> Vec<PathBuf> {
    let lines: Vec<_> = text.lines().collect();
    let stem = file.file_stem().unwrap_or_default();
    let beside = file.parent().unwrap_or(file);
    let below =
        if ["mod", "lib"].iter().any(|name| stem == *name) { beside.to_owned() } else { beside.join(stem) };
    let modules = lines.windows(2).filter_map(|two| match two {
        [TEST, next] => next.strip_prefix("mod ")?.strip_suffix(';'),
        _ => None,
    });
    modules.map(|name| below.join(format!("{name}.rs"))).collect()
}

/// Numbers of the lines that count, from 1.
pub(crate) fn code(text: &str) -> Vec<usize> {
    let mut numbers = Vec::new();
    let mut lines = text.lines().zip(1..);
    while let Some((line, number)) = lines.next() {
        if line == TEST {
            // What follows on the left margin ends with a brace there, or on its first line.
            let mut first = lines.find(|(line, _)| !line.starts_with("#[")).into_iter();
            if first.any(|(line, _)| line.ends_with('{')) {
                lines.find(|(line, _)| *line == "}");
            }
            continue;
        }
        let code = line.split("//").next().unwrap_or_default();
        if code.contains(char::is_alphanumeric) {
            numbers.push(number);
        }
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_comments_and_punctuation_do_not_count() {
        let text = "use a;\n\n// b\n#[cfg(test)]\nmod far;\nfn c() {\n    d(); // e\n}\n\n#[cfg(test)]\n#[allow(f)]\n\
                    mod near {\n    fn g() {\n    }\n}\nfn h() {}\n";
        assert_eq!(code(text), [1, 6, 7, 16]);
    }

    #[test]
    fn files_of_tests_are_found() {
        let text = "#[cfg(test)]\nmod tests;\nmod other;\n";
        assert_eq!(test_files(Path::new("a/mod.rs"), text), [Path::new("a/tests.rs")]);
        assert_eq!(test_files(Path::new("a/b.rs"), text), [Path::new("a/b/tests.rs")]);
    }
}
