//! Files to objects: what a folder of YAML holds, and what is wrong with it.
//!
//! [`paths`] says which files, [`documents`] takes them apart, [`kinds`] reads the objects. [`Reader`] puts it together
//! and remembers: a file that did not change is not parsed again.

mod documents;
pub(crate) mod kinds;
mod object;
pub(crate) mod paths;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use postern_api::finding::{FieldPath, Level};
use postern_api::meta::ObjectKey;
use postern_translate::World;

pub(crate) use documents::Place;
use object::{Generations, ObjectReader};
pub(crate) use object::{Object, ObjectName};

use documents::Places;
use paths::{Found, Stamp};

/// What is wrong with a file, or with a document of which no object could be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) file: Arc<Path>,
    pub(crate) place: Option<Place>,
    /// The object, as far as it is known.
    pub(crate) object: Option<ObjectName>,
    pub(crate) path: FieldPath,
    pub(crate) level: Level,
    pub(crate) message: String,
}

/// A file as it was read.
#[derive(Debug)]
struct FileContent {
    path: Arc<Path>,
    /// Absent when a change could leave it the same.
    stamp: Option<Stamp>,
    text: String,
    objects: Vec<Arc<Object>>,
    problems: Vec<Problem>,
}

/// Everything that was read at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reading {
    files: BTreeMap<Arc<Path>, Arc<FileContent>>,
    /// By key. Of two with the same key, the first.
    pub(crate) objects: BTreeMap<ObjectKey, Arc<Object>>,
    pub(crate) problems: Vec<Problem>,
}

impl Reading {
    /// Of objects that are in no file.
    pub(crate) fn of_cluster(objects: Vec<Object>) -> Self {
        let objects = objects.into_iter().map(|object| (object.key.clone(), Arc::new(object))).collect();
        Self { objects, ..Self::default() }
    }

    /// For the translation.
    pub(crate) fn world(&self) -> World {
        let mut world = World::builder();
        for (key, object) in &self.objects {
            world.parsed(key.clone(), object.parsed.clone());
        }
        world.build()
    }

    /// Is there an error that makes the whole doubtful: a file or document that could not be read, an object that is
    /// there twice?
    pub(crate) fn is_incomplete(&self) -> bool {
        self.problems.iter().any(|problem| problem.level == Level::Error)
    }

    /// May this be served? An API server would have refused what has an error.
    pub(crate) fn has_errors(&self) -> bool {
        self.is_incomplete() || self.objects.values().any(|object| object.parsed.has_errors())
    }

    /// Says where objects and their fields stand.
    pub(crate) fn locator(&self) -> Locator<'_> {
        Locator { reading: self, places: BTreeMap::new() }
    }
}

/// Finds places in files. Each file is taken apart for that once.
#[derive(Debug)]
pub(crate) struct Locator<'a> {
    reading: &'a Reading,
    places: BTreeMap<&'a Path, Places>,
}

impl Locator<'_> {
    /// Where a field of an object stands; `None` for an object that is in no file.
    pub(crate) fn find(&mut self, key: &ObjectKey, path: &FieldPath) -> Option<(PathBuf, Option<Place>)> {
        let origin = &self.reading.objects.get(key)?.origin;
        let (file, content) = self.reading.files.get_key_value(&origin.file)?;
        let places = self.places.entry(file).or_insert_with(|| Places::of(&content.text));
        Some((file.to_path_buf(), places.find(origin.document, &origin.at, path)))
    }
}

/// Reads files again and again.
#[derive(Debug)]
pub(crate) struct Reader {
    roots: Vec<PathBuf>,
    generations: Generations,
    files: BTreeMap<Arc<Path>, Arc<FileContent>>,
}

impl Reader {
    /// Reads these files and directories.
    pub(crate) const fn new(roots: Vec<PathBuf>) -> Self {
        Self { roots, generations: Generations::new(), files: BTreeMap::new() }
    }

    /// What they hold now. An object's generation goes up when its content has changed since the last time.
    pub(crate) fn read(&mut self) -> Reading {
        let started = std::time::Instant::now();
        let (paths, unreadable) = paths::files(&self.roots);
        let mut reading = Reading::default();
        for paths::Unreadable { path, error } in unreadable {
            reading.problems.push(cannot_read(path.into(), &error));
        }
        for Found { path, stamp } in paths {
            match self.file(&path, stamp) {
                Ok(content) => {
                    reading.files.insert(Arc::clone(&content.path), content);
                }
                // It has gone since the directory was read.
                Err(error) if error.kind() == io::ErrorKind::NotFound && !self.roots.contains(&path) => {}
                Err(error) => reading.problems.push(cannot_read(path.into(), &error)),
            }
        }
        self.files = reading.files.clone();
        reading.collect();
        tracing::debug!(files = reading.files.len(), objects = reading.objects.len(), took = ?started.elapsed(), "read");
        reading
    }

    fn file(&mut self, path: &Path, stamp: Option<Stamp>) -> io::Result<Arc<FileContent>> {
        let known = self.files.get(path);
        if let Some(known) = known.filter(|known| known.stamp.is_some() && known.stamp == stamp) {
            return Ok(Arc::clone(known));
        }
        let stamp = stamp.filter(|stamp| stamp.is_settled(SystemTime::now()));
        let text = read_text(path)?;
        if let Some(known) = known.filter(|known| known.text == text) {
            let (path, objects, problems) =
                (known.path.clone(), known.objects.clone(), known.problems.clone());
            return Ok(Arc::new(FileContent { path, stamp, text, objects, problems }));
        }
        let path: Arc<Path> = path.into();
        let (objects, problems) = ObjectReader::new(&path, &text, &mut self.generations).read();
        Ok(Arc::new(FileContent { path, stamp, text, objects, problems }))
    }
}

fn read_text(path: &Path) -> io::Result<String> {
    let bytes = if path.as_os_str() == paths::STANDARD_INPUT {
        let mut bytes = Vec::new();
        io::stdin().lock().read_to_end(&mut bytes)?;
        bytes
    } else {
        fs::read(path)?
    };
    String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.utf8_error()))
}

impl Reading {
    /// Gathers what the files have, and finds what is there twice.
    fn collect(&mut self) {
        let mut twice = Vec::new();
        for content in self.files.values() {
            self.problems.extend(content.problems.iter().cloned());
            for object in &content.objects {
                if let Some(first) = self.objects.get(&object.key) {
                    twice.push((Arc::clone(first), Arc::clone(object)));
                } else {
                    self.objects.insert(object.key.clone(), Arc::clone(object));
                }
            }
        }
        let name = FieldPath::default().field("metadata").field("name");
        for (first, second) in twice {
            let place = |object: &Object| {
                let content = self.files.get(&object.origin.file)?;
                Places::of(&content.text).find(object.origin.document, &object.origin.at, &name)
            };
            let line = place(&first).map_or_else(String::new, |place| format!(":{}", place.line));
            let problem = Problem {
                file: Arc::clone(&second.origin.file),
                place: place(&second),
                object: Some(ObjectName::from(&second.key)),
                path: name.clone(),
                level: Level::Error,
                message: format!("this object is also in {}{line}", first.origin.file.display()),
            };
            self.problems.push(problem);
        }
    }
}

fn cannot_read(file: Arc<Path>, error: &io::Error) -> Problem {
    Problem {
        file,
        place: None,
        object: None,
        path: FieldPath::default(),
        level: Level::Error,
        message: format!("cannot be read: {error}"),
    }
}

#[cfg(test)]
mod tests;
