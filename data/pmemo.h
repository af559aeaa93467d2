// PMEmo (Zhang et al., "The PMEmo dataset for music emotion recognition", ICMR 2018; the 2019
// release).
//
// Below the root, at any depth:
//   annotations/static_annotations.csv   musicId,Arousal(mean),Valence(mean), on 0-1
//   annotations/dynamic_annotations.csv  musicId,frameTime,Arousal(mean),Valence(mean), 2 Hz
//   metadata.csv                         title, artist, album, duration ... (quoted commas)
//   chorus/ID.mp3                        clips of 11-88 s
// Arousal stands first in the files; items have valence first, as everywhere. Clips under 15.5 s
// have no annotations.
#pragma once

#include <filesystem>

#include "data/dataset.h"

namespace etude::data {

// Whether `root` holds PMEmo's static annotations.
bool looks_like_pmemo(const std::filesystem::path& root);

// Items sorted by id: every clip of the annotations, the metadata and the audio folder. Error for
// missing annotations, a missing audio folder where options.need_audio, or a malformed file.
Dataset load_pmemo(const std::filesystem::path& root, const DatasetOptions& options);

}  // namespace etude::data
