// DEAM: MediaEval Database for Emotional Analysis in Music (Aljanaki, Yang, Soleymani, "Developing
// a benchmark for emotional analysis of music", PLoS ONE 12(3), 2017).
//
// Below the root, at any depth (the archives unpack to slightly different roots):
//   static_annotations_averaged_songs_*.csv  one row a song, valence and arousal on 1-9
//   dynamic*/{arousal,valence}.csv           one row a song, 2 Hz from 15 s on, -1 to 1
//   MEMD_audio/ID.mp3                        or any other audio format
//   metadata_20*.csv                         artist and title, where it was unpacked
//
// The valence and arousal columns of the static file are exchanged for song ids up to 1000. The
// importer does not take that for granted: it compares the static with the dynamic annotations.
#pragma once

#include <filesystem>
#include <map>

#include "data/dataset.h"

namespace etude::data {

// Whether `root` holds DEAM's static annotations.
bool looks_like_deam(const std::filesystem::path& root);

// Items sorted by id; songs without audio or without annotation are kept. Error for missing
// annotation files, a missing audio folder where options.need_audio, or a malformed file.
Dataset load_deam(const std::filesystem::path& root, const DatasetOptions& options);

// One song of detect_swap(): static scores as distributed, and the means of the dynamic ones.
struct SwapSample {
  double static_valence = 0, static_arousal = 0;
  double dynamic_valence = 0, dynamic_arousal = 0;
};

// The verdict on a range of songs. With z = atanh(r), the crossed pairs (dynamic arousal with
// static "valence", dynamic valence with static "arousal") are compared with the straight ones:
//   d = (z_av - z_aa + z_va - z_vv) / sqrt(4 / (songs - 3))
// swapped: d > 4 and both crossed correlations exceed their straight ones; straight: the mirror
// image; else, or with fewer than 8 songs, unclear. d is Fisher's test for independent samples; the
// correlations here share songs and agree among themselves, which only makes it more cautious.
SwapEvidence detect_swap(const std::map<int, SwapSample>& songs, int first_id, int last_id);

}  // namespace etude::data
