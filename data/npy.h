// NumPy's .npy files: float32, float64 and int64 arrays.
#pragma once

#include <cstdint>
#include <filesystem>
#include <variant>
#include <vector>

#include "kernels/shapes.h"

namespace etude::data {

// Row-major values and their shape; an empty shape is one number.
struct NpyArray {
  std::vector<Index> shape;
  std::variant<std::vector<float>, std::vector<double>, std::vector<std::int64_t>> values;
};

// Version 1.0, little-endian; written beside and renamed. T is float, double or int64_t.
// Error when the values are not as many as the shape says, or the file cannot be written.
template <class T>
void write_npy(const std::filesystem::path& path, const std::vector<T>& values,
               const std::vector<Index>& shape);

// Versions 1 to 3. Error (path, what was found) for a file that is no .npy, that is cut short or
// too long for its shape, in Fortran order, or of another type.
NpyArray read_npy(const std::filesystem::path& path);

}  // namespace etude::data
