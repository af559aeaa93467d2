// Checkpoints: safetensors files with PyTorch's names and PyTorch's memory layout.
//
// Format: u64 little-endian header length, JSON {name: {dtype, shape, data_offsets}}, data.
// https://github.com/huggingface/safetensors
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "engine/module.h"

namespace etude {

// The one place where layouts meet: ours -> PyTorch's, and back. Host tensors, any dtype.
Tensor to_torch_layout(const Tensor& tensor, const Layout& layout);
Tensor from_torch_layout(const Tensor& tensor, const Layout& layout);

using Metadata = std::map<std::string, std::string>;

struct SafetensorsFile {
  std::vector<std::pair<std::string, Tensor>> tensors;  // host, as stored
  Metadata metadata;
};

// Writes to a temporary file beside `path`, syncs, and renames: a full disk or a crash leaves the
// old file whole. Error names the path and the cause.
void write_safetensors(const std::filesystem::path& path,
                       const std::vector<std::pair<std::string, Tensor>>& tensors,
                       const Metadata& metadata = {});
// Checks header length, JSON, dtypes, ranges, overlap and overflow; Error names what is wrong.
SafetensorsFile read_safetensors(const std::filesystem::path& path);

// A module's state in PyTorch's layout.
void save_state(const std::filesystem::path& path, const std::vector<StateEntry>& state,
                const Metadata& metadata = {});

struct LoadOptions {
  // Entries under this prefix that do not fit are left as initialised ("fc." for a new head).
  std::string reset_prefix;
  // Sums an RGB stem's filters over their input channels where the module has one channel.
  bool sum_stem = true;
};
// Fills `state` from a file; every entry must be present with its shape (num_batches_tracked may
// be missing), and nothing may be left over. Error lists what does not fit. Returns the metadata.
Metadata load_state(const std::filesystem::path& path, const std::vector<StateEntry>& state,
                    const LoadOptions& options = {});

}  // namespace etude
