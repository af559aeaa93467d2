// IDX image files: MNIST, Fashion-MNIST and the like, gzipped or not.
//
// Format (LeCun, Cortes, Burges, "The MNIST database of handwritten digits"): two zero bytes, the
// type (0x08: unsigned bytes), the rank, each dimension as a big-endian 32-bit number, the bytes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "data/dataset.h"

namespace etude::data {

// An array of unsigned bytes.
struct IdxArray {
  std::vector<int> dims;
  std::vector<std::uint8_t> bytes;
};

// Error (file, what was expected) for a damaged header, a short or overlong file, damaged gzip, and
// another rank or more elements than `rank` and memory allow for.
IdxArray read_idx(const std::filesystem::path& path, int rank);

// Whether `root` holds train-images-idx3-ubyte or a spelling of it.
bool looks_like_idx(const std::filesystem::path& root);

// train-{images,labels} and, where they are there, t10k-{images,labels}: these are `test`. Without
// them no item carries a split. Classes are the ten garments where a folder of the path is named
// after Fashion-MNIST, else the numbers.
Dataset load_idx(const std::filesystem::path& root);

}  // namespace etude::data
