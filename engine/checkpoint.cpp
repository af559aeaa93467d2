// A module's state on disk: which tensor goes where, in which memory layout. The file format is in
// safetensors.cpp.
#include "engine/checkpoint.h"

#include <algorithm>
#include <cstring>

namespace etude {
namespace {

template <class T>
void transpose_each(const T* source, T* target, Index count, Index rows, Index cols) {
  for (Index i = 0; i < count; ++i, source += rows * cols, target += rows * cols)
    for (Index c = 0; c < cols; ++c)
      for (Index r = 0; r < rows; ++r) target[c * rows + r] = source[r * cols + c];
}

// `count` matrices [rows, cols], one after the other, each transposed.
Tensor transpose_each(const Tensor& tensor, Shape shape, Index count, Index rows, Index cols) {
  const Tensor host = tensor.to(cpu_device);
  Tensor result(shape, tensor.dtype(), cpu_device);
  switch (tensor.dtype()) {
    case DType::f32:
      transpose_each(host.data<float>(), result.data<float>(), count, rows, cols);
      break;
    case DType::f64:
      transpose_each(host.data<double>(), result.data<double>(), count, rows, cols);
      break;
    case DType::i64:
      transpose_each(host.data<std::int64_t>(), result.data<std::int64_t>(), count, rows, cols);
      break;
    case DType::u8:
      transpose_each(host.data<std::uint8_t>(), result.data<std::uint8_t>(), count, rows, cols);
      break;
  }
  return result;
}

void check_rank(const char* op, const Tensor& tensor, const Layout& layout) {
  const int rank = layout.kind == Layout::filter ? 4 : 2;
  check(tensor.rank() == rank, "{}: expected {} dimensions, got {}", op, rank,
        to_string(tensor.shape()));
  check(rank == 4 || tensor.dim(1) == layout.h * layout.w * layout.c,
        "{}: {} does not have the columns of a flattened {}x{}x{}", op, to_string(tensor.shape()),
        layout.h, layout.w, layout.c);
}

// The shape that a tensor of ours has in PyTorch.
Shape torch_shape(const Shape& ours, const Layout& layout) {
  if (layout.kind != Layout::filter || ours.rank() != 4) return ours;
  return {ours[0], ours[3], ours[1], ours[2]};
}

}  // namespace

// Both layouts differ from PyTorch's by the same exchange, once for every output k: pixels by
// channels here, channels by pixels there.
Tensor to_torch_layout(const Tensor& tensor, const Layout& layout) {
  if (layout.kind == Layout::plain) return tensor.detach();
  check_rank("to_torch_layout", tensor, layout);
  const Shape& s = tensor.shape();
  if (layout.kind == Layout::filter)
    return transpose_each(tensor, {s[0], s[3], s[1], s[2]}, s[0], s[1] * s[2], s[3]);
  return transpose_each(tensor, s, s[0], layout.h * layout.w, layout.c);
}

Tensor from_torch_layout(const Tensor& tensor, const Layout& layout) {
  if (layout.kind == Layout::plain) return tensor.detach();
  check_rank("from_torch_layout", tensor, layout);
  const Shape& s = tensor.shape();
  if (layout.kind == Layout::filter)
    return transpose_each(tensor, {s[0], s[2], s[3], s[1]}, s[0], s[1], s[2] * s[3]);
  return transpose_each(tensor, s, s[0], layout.c, layout.h * layout.w);
}

void save_state(const std::filesystem::path& path, const std::vector<StateEntry>& state,
                const Metadata& metadata) {
  std::vector<std::pair<std::string, Tensor>> tensors;
  for (const StateEntry& entry : state)
    tensors.emplace_back(entry.name, to_torch_layout(entry.tensor.to(cpu_device), entry.layout));
  write_safetensors(path, tensors, metadata);
}

namespace {

bool is_real(DType dtype) { return dtype == DType::f32 || dtype == DType::f64; }

// A PyTorch filter [K,3,R,S] as [K,1,R,S]: on an image whose three channels are equal the two give
// the same result.
Tensor sum_input_channels(const Tensor& filter) {
  const Tensor wide = filter.to(DType::f64);
  const Index k = wide.dim(0), c = wide.dim(1), taps = wide.dim(2) * wide.dim(3);
  Tensor result = Tensor::zeros({k, 1, wide.dim(2), wide.dim(3)}, DType::f64);
  for (Index i = 0; i < k; ++i)
    for (Index j = 0; j < c; ++j)
      for (Index t = 0; t < taps; ++t)
        result.data<double>()[i * taps + t] += wide.data<double>()[(i * c + j) * taps + t];
  return result.to(filter.dtype());
}

// The problems of a load, told in one line.
std::string summary(const std::vector<std::string>& problems) {
  constexpr std::size_t shown = 6;
  std::string text;
  for (std::size_t i = 0; i < std::min(shown, problems.size()); ++i)
    text += (i ? "; " : "") + problems[i];
  if (problems.size() > shown) text += fmt::format("; and {} more", problems.size() - shown);
  return text;
}

// Finds, for every entry of a state, the tensor of a file that goes there.
class Matcher {
 public:
  Matcher(const SafetensorsFile& file, const std::vector<StateEntry>& state,
          const LoadOptions& options)
      : state_(state), options_(options) {
    for (const auto& [name, tensor] : file.tensors) left_.emplace(name, tensor);
    for (const StateEntry& entry : state)
      if (entry.layout.kind == Layout::filter) {
        stem_ = &entry;
        break;
      }
  }

  // What to put where; problems are collected.
  std::vector<std::pair<const StateEntry*, Tensor>> run() {
    std::vector<std::pair<const StateEntry*, Tensor>> result;
    for (const StateEntry& entry : state_) {
      if (Tensor tensor = take(entry); tensor.defined())
        result.emplace_back(&entry, from_torch_layout(tensor, entry.layout));
    }
    for (const auto& [name, tensor] : left_)
      if (!may_reset(name))
        problems.push_back(fmt::format("unexpected {} {}", name, to_string(tensor.shape())));
    return result;
  }

  std::vector<std::string> problems;
  std::size_t missing = 0;

 private:
  bool may_reset(const std::string& name) const {
    return !options_.reset_prefix.empty() && name.starts_with(options_.reset_prefix);
  }

  // The file's tensor for an entry, in PyTorch's layout and the entry's dtype; undefined if none.
  Tensor take(const StateEntry& entry) {
    const auto found = left_.find(entry.name);
    if (found == left_.end()) {
      // Files written before PyTorch 0.4.1 have none, and nothing depends on it.
      if (entry.name.ends_with("num_batches_tracked") || may_reset(entry.name)) return {};
      ++missing;
      problems.push_back(fmt::format("missing {} {}", entry.name,
                                     to_string(torch_shape(entry.tensor.shape(), entry.layout))));
      return {};
    }
    Tensor tensor = found->second;
    left_.erase(found);
    const Shape wanted = torch_shape(entry.tensor.shape(), entry.layout);
    if (options_.sum_stem && &entry == stem_ && tensor.rank() == 4 && is_real(tensor.dtype()) &&
        tensor.dim(1) == 3 && wanted[1] == 1)
      tensor = sum_input_channels(tensor);
    if (!(tensor.shape() == wanted)) {
      if (may_reset(entry.name)) return {};
      problems.push_back(fmt::format("{} is {} in the file, {} in the model", entry.name,
                                     to_string(tensor.shape()), to_string(wanted)));
      return {};
    }
    const DType dtype = entry.tensor.dtype();
    if (tensor.dtype() != dtype) {
      if (!is_real(dtype) || !is_real(tensor.dtype())) {
        problems.push_back(fmt::format("{} is {} in the file, {} in the model", entry.name,
                                       to_string(tensor.dtype()), to_string(dtype)));
        return {};
      }
      tensor = tensor.to(dtype);
    }
    return tensor;
  }

  const std::vector<StateEntry>& state_;
  const LoadOptions& options_;
  std::map<std::string, Tensor> left_;
  const StateEntry* stem_ = nullptr;
};

}  // namespace

Metadata load_state(const std::filesystem::path& path, const std::vector<StateEntry>& state,
                    const LoadOptions& options) {
  const SafetensorsFile file = read_safetensors(path);
  Matcher matcher(file, state, options);
  const auto matches = matcher.run();
  if (!matcher.problems.empty()) {
    const bool nothing_fits = matches.empty();
    fail("checkpoint {}: {}{}", path.string(),
         nothing_fits ? "of another model; " : "does not fit the model: ",
         summary(matcher.problems));
  }
  // Everything fits: only now is anything changed.
  for (const auto& [entry, tensor] : matches) entry->tensor.copy_from(tensor);
  return file.metadata;
}

}  // namespace etude
