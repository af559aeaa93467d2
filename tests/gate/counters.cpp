// The gate over what the kernels move: the CUDA kernels on the emulator's counting build, at the
// layers of TinyVGG (10 and 64 hidden units, a 64 x 64 input) and of ResNet-18 (a 128 x 128 input),
// and one whose channels are padded, at batch 1. Prints a table; exit 1 where a kernel breaks a
// limit.
//
// What is compared, per problem:
//
//   traffic  distinct 32-byte sectors that each launch reads and writes, times 32, over the bytes
//            that the algorithm cannot do without. A sector counts once a launch, as with a cache
//            that holds everything: it is what memory has to deliver. Element-wise operations and
//            batch norm: at most 1.1.
//   loads    sectors that the requests of global loads fetch, over the sectors that the bytes asked
//            for would fill side by side. A request is one load of one warp, and fetches each
//            distinct sector that its lanes' addresses touch once; 1 means that every byte of them
//            was asked for. Convolutions: at most 1.25 where the channels are multiples of 4 and
//            lanes can read 16 bytes each, 1.6 for others, whose rows begin within a sector.
//   waves    passes over the banks of shared memory, over the passes without conflicts: of the main
//            loop, which is the source line with the most requests to load, and of all loads and
//            all stores of the kernel. The loop of every convolution: exactly 1; all of an implicit
//            matrix product's, where tiles are stored once an iteration: exactly 1. A direct
//            convolution lays its inputs out anew on their way to shared memory, once for all
//            iterations, and the conflicts of that are shown without a limit.
//
// Of a convolution, loads and waves are those of the kernel with the most accesses to shared memory
// (transposing a filter or adding slices is another kernel's work, and counts as traffic).
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <functional>
#include <string>
#include <vector>

#include "kernels/kernels.h"
#include "kernels/simt/simt.h"
#include "tests/gate/readme.h"

namespace etude::gate {
namespace {

const Kernels<float>& kernels() { return simt_counting::table(); }

// Device memory with numbers in it, freed at the end.
class Buffer {
 public:
  explicit Buffer(Index floats) : Buffer(static_cast<std::size_t>(floats) * sizeof(float)) {}
  explicit Buffer(std::size_t bytes) : p_(kernels().memory_alloc(std::max(bytes, std::size_t{4}))) {
    std::vector<float> values(bytes / sizeof(float));
    unsigned state = 1;
    for (float& v : values) {
      state = state * 1664525 + 1013904223;
      v = static_cast<float>(state >> 8) / (1 << 23) - 1;
    }
    kernels().memory_copy({}, p_, values.data(), values.size() * sizeof(float),
                          CopyKind::host_to_device);
  }
  ~Buffer() { kernels().memory_free(p_); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  float* get() const { return static_cast<float*>(p_); }
  operator float*() const { return get(); }
  void* bytes() const { return p_; }

 private:
  void* p_;
};

enum class Kind { Stream, Convolution };

struct Problem {
  std::string name;
  Kind kind;
  double bytes;  // that the algorithm must move
  double most_loads = 0;
  std::function<void()> run;
};

struct Result {
  std::string kernel;  // the one that the columns are about
  double traffic = 0, loads = 0, loop_waves = 1, load_waves = 0, store_waves = 0, lanes = 0;
};

double ratio(std::uint64_t a, double b) { return b == 0 ? 1 : static_cast<double>(a) / b; }

Result measure(const Problem& problem) {
  ::simt::profile_start();
  problem.run();
  const std::vector<::simt::KernelProfile> profiles = ::simt::profile_stop();
  if (profiles.empty()) throw std::runtime_error(problem.name + ": no kernel was counted");
  using ::simt::Access;
  using ::simt::Space;
  Result result;
  std::uint64_t sectors = 0, most = 0;
  const ::simt::KernelProfile* main = nullptr;
  for (const ::simt::KernelProfile& p : profiles) {
    sectors += p.unique_load_sectors + p.unique_store_sectors;
    const std::uint64_t accesses = p.total(Space::Shared, Access::Load).requests * 1000 +
                                   p.total(Space::Global, Access::Load).requests;
    if (main && accesses <= most) continue;
    main = &p;
    most = accesses;
  }
  const ::simt::LineCounts global = main->total(Space::Global, Access::Load);
  const ::simt::LineCounts load = main->total(Space::Shared, Access::Load);
  const ::simt::LineCounts store = main->total(Space::Shared, Access::Store);
  result.kernel = main->kernel;
  for (const std::string_view part : {"etude::simt_counting::", "(anonymous namespace)::"})
    for (std::size_t at; (at = result.kernel.find(part)) != std::string::npos;)
      result.kernel.erase(at, part.size());
  result.traffic = 32 * static_cast<double>(sectors) / problem.bytes;
  result.loads = ratio(global.sectors, static_cast<double>(global.bytes) / 32);
  result.load_waves = ratio(load.wavefronts, static_cast<double>(load.ideal_wavefronts));
  result.store_waves = ratio(store.wavefronts, static_cast<double>(store.ideal_wavefronts));
  std::uint64_t loop_requests = 0;
  for (const ::simt::LineCounts& line : main->lines) {
    if (line.space != Space::Shared || line.access != Access::Load ||
        line.requests <= loop_requests)
      continue;
    loop_requests = line.requests;
    result.loop_waves = ratio(line.wavefronts, static_cast<double>(line.ideal_wavefronts));
  }
  result.lanes = ratio(main->block_lanes, static_cast<double>(main->block_executions));
  return result;
}

// ---- the problems ------------------------------------------------------------------------------

void add_conv(std::vector<Problem>& problems, const std::string& layer, const Conv2dShape& p) {
  const double bytes = 4.0 * static_cast<double>(p.x_size() + p.w_size() + p.y_size());
  const double most = p.c % 4 == 0 && p.k % 4 == 0 ? 1.25 : 1.6;
  const std::string name =
      fmt::format("{} {}x{}x{} -> {}, {}x{}{}", layer, p.h, p.w, p.c, p.k, p.r, p.s,
                  p.stride_h == 1 ? "" : fmt::format(" stride {}", p.stride_h));
  problems.push_back({name + ", forward", Kind::Convolution, bytes, most, [p] {
                        const Buffer x(p.x_size()), w(p.w_size()), bias(p.k), y(p.y_size()),
                            work(kernels().conv2d_forward_workspace(p));
                        kernels().conv2d_forward({}, p, x, w, bias, true, y, work.bytes());
                      }});
  if (p.c > 1)  // a network's input has no gradient
    problems.push_back({name + ", data gradient", Kind::Convolution, bytes, most, [p] {
                          const Buffer dx(p.x_size()), w(p.w_size()), dy(p.y_size()),
                              work(kernels().conv2d_backward_data_workspace(p));
                          kernels().conv2d_backward_data({}, p, dy, w, dx, work.bytes());
                        }});
  problems.push_back({name + ", filter gradient", Kind::Convolution, bytes, most, [p] {
                        const Buffer x(p.x_size()), dw(p.w_size()), dbias(p.k), dy(p.y_size()),
                            work(kernels().conv2d_backward_filter_workspace(p));
                        kernels().conv2d_backward_filter({}, p, x, dy, dw, dbias, work.bytes());
                      }});
}

// `tensors` of n floats each.
void add_stream(std::vector<Problem>& problems, const std::string& name, Index n, double tensors,
                std::function<void()> run) {
  problems.push_back({fmt::format("{} {}", name, n), Kind::Stream,
                      tensors * 4 * static_cast<double>(n), 0, std::move(run)});
}

void add_elementwise(std::vector<Problem>& problems, Index n) {
  add_stream(problems, "fill", n, 1, [n] {
    const Buffer y(n);
    kernels().fill({}, n, 0.5, y);
  });
  add_stream(problems, "add", n, 3, [n] {
    const Buffer a(n), b(n), y(n);
    kernels().add_forward({}, n, a, b, y);
  });
  add_stream(problems, "mul", n, 3, [n] {
    const Buffer a(n), b(n), y(n);
    kernels().mul_forward({}, n, a, b, y);
  });
  add_stream(problems, "scale", n, 2, [n] {
    const Buffer x(n), y(n);
    kernels().scale_forward({}, n, 0.5, x, y);
  });
  add_stream(problems, "relu", n, 2, [n] {
    const Buffer x(n), y(n);
    kernels().relu_forward({}, n, x, y);
  });
  add_stream(problems, "relu gradient", n, 3, [n] {
    const Buffer y(n), dy(n), dx(n);
    kernels().relu_backward({}, n, y, dy, dx);
  });
  add_stream(problems, "dropout", n, 2, [n] {
    const Buffer x(n), y(n);
    kernels().dropout({}, n, 0.5, {}, x, y);
  });
}

// Passes over the tensor that batch statistics cannot do without: forward reads x twice and writes
// y; backward reads x, dy (and y for the ReLU mask) twice and writes dx; a residual is one more. A
// channel's parameters and statistics count too.
void add_batch_norm(std::vector<Problem>& problems, Index rows, Index channels, bool residual) {
  const BatchNormShape p{.rows = rows, .channels = channels, .relu = true};
  const double tensor = 4.0 * static_cast<double>(p.size());
  const double channel = 4.0 * static_cast<double>(channels);
  const std::string name =
      fmt::format("batch norm + {}ReLU {}x{}", residual ? "residual + " : "", rows, channels);
  const double extra = residual ? tensor : 0;
  problems.push_back(
      {name + ", forward", Kind::Stream, 3 * tensor + extra + 8 * channel, 0, [p, residual] {
         const Buffer x(p.size()), r(p.size()), y(p.size()), gamma(p.channels), beta(p.channels),
             running_mean(p.channels), running_var(p.channels), mean(p.channels),
             inv_std(p.channels), work(kernels().batch_norm_workspace(p));
         kernels().batch_norm_forward({}, p, x, gamma, beta, residual ? r.get() : nullptr,
                                      running_mean, running_var, y, mean, inv_std, work.bytes());
       }});
  problems.push_back(
      {name + ", inference", Kind::Stream, 2 * tensor + extra + 4 * channel, 0, [p, residual] {
         const Buffer x(p.size()), r(p.size()), y(p.size()), gamma(p.channels), beta(p.channels),
             mean(p.channels), var(p.channels);
         kernels().batch_norm_inference({}, p, x, gamma, beta, residual ? r.get() : nullptr, mean,
                                        var, y);
       }});
  problems.push_back(
      {name + ", backward", Kind::Stream, 7 * tensor + extra + 5 * channel, 0, [p, residual] {
         const Buffer x(p.size()), y(p.size()), dy(p.size()), dx(p.size()), dr(p.size()),
             gamma(p.channels), mean(p.channels), inv_std(p.channels), dgamma(p.channels),
             dbeta(p.channels), work(kernels().batch_norm_workspace(p));
         kernels().batch_norm_backward({}, p, x, y, dy, gamma, mean, inv_std, dx, dgamma, dbeta,
                                       residual ? dr.get() : nullptr, work.bytes());
       }});
}

std::vector<Problem> all_problems() {
  std::vector<Problem> problems;
  for (const Index h : {Index{10}, Index{64}}) {
    const std::string model = fmt::format("TinyVGG-{}", h);
    add_conv(problems, model + " block1.0", {1, 64, 64, 1, h, 3, 3, 1, 1, 1, 1});
    add_conv(problems, model + " block1.2", {1, 64, 64, h, h, 3, 3, 1, 1, 1, 1});
    add_conv(problems, model + " block2", {1, 32, 32, h, h, 3, 3, 1, 1, 1, 1});
    add_conv(problems, model + " classifier", {1, 1, 1, 16 * 16 * h, 10, 1, 1});
  }
  const std::string model = "ResNet-18 ";
  for (const Index c : {Index{1}, Index{3}})
    add_conv(problems, model + "conv1", {1, 128, 128, c, 64, 7, 7, 2, 2, 3, 3});
  Index size = 32, channels = 64;
  add_conv(problems, model + "layer1", {1, size, size, 64, 64, 3, 3, 1, 1, 1, 1});
  for (int layer = 2; layer <= 4; ++layer, size /= 2, channels *= 2) {
    const Index c = channels, k = 2 * channels, half = size / 2;
    const std::string name = fmt::format("{}layer{}", model, layer);
    add_conv(problems, name + ".0", {1, size, size, c, k, 3, 3, 2, 2, 1, 1});
    add_conv(problems, name + " shortcut", {1, size, size, c, k, 1, 1, 2, 2});
    add_conv(problems, name, {1, half, half, k, k, 3, 3, 1, 1, 1, 1});
  }
  add_conv(problems, model + "fc", {1, 1, 1, 512, 9, 1, 1});
  add_conv(problems, "channels in no fours", {1, 32, 32, 33, 33, 3, 3, 1, 1, 1, 1});
  add_elementwise(problems, 64 * 64 * 10);
  add_elementwise(problems, 32 * 32 * 64 + 3);
  for (const Index c : {64, 128, 256, 512}) add_batch_norm(problems, 65536 / c, c, c == 64);
  add_batch_norm(problems, 64 * 64, 10, false);
  return problems;
}

// ---- the table ---------------------------------------------------------------------------------

std::string broken(const Problem& problem, const Result& r) {
  std::string text;
  const auto at_most = [&](const char* what, double value, double most) {
    if (value > most * (1 + 1e-9))
      text += fmt::format(" {} {:.3f}, at most {}.", what, value, most);
  };
  if (problem.kind == Kind::Stream) {
    at_most("traffic", r.traffic, 1.1);
  } else {
    at_most("loads", r.loads, problem.most_loads);
    at_most("waves of the loop", r.loop_waves, 1);
    if (r.kernel.starts_with("conv2d_implicit_gemm")) {
      at_most("waves of loads", r.load_waves, 1);
      at_most("waves of stores", r.store_waves, 1);
    }
  }
  return text;
}

std::string row(const Problem& problem, const Result& r) {
  return fmt::format("| {} | `{}` | {:.2f} | {:.2f} | {:.2f} | {:.2f} | {:.2f} | {:.1f} |\n",
                     problem.name, r.kernel, r.traffic, r.loads, r.loop_waves, r.load_waves,
                     r.store_waves, r.lanes);
}

constexpr const char* kHeader =
    "| problem | kernel | traffic | loads | waves: loop | loads | stores | lanes |\n"
    "|---|---|---|---|---|---|---|---|\n";

constexpr const char* kUsage =
    "usage: etude-counters [--update] [TEXT]\n"
    "  --update  write the table into kernels/cuda/README.md\n"
    "  TEXT      only the problems whose name contains it\n";

int run(const std::vector<std::string>& arguments) {
  bool update = false;
  std::string wanted;
  for (const std::string& argument : arguments) {
    if (argument == "--update") {
      update = true;
    } else if (argument.starts_with("-") || !wanted.empty()) {
      fmt::print(stderr, "etude-counters: unexpected '{}'\n{}", argument, kUsage);
      return 2;
    } else {
      wanted = argument;
    }
  }
  std::string table = kHeader;
  std::vector<std::string> problems;
  fmt::print("{}", kHeader);
  int count = 0;
  for (const Problem& problem : all_problems()) {
    if (problem.name.find(wanted) == std::string::npos) continue;
    ++count;
    try {
      const Result result = measure(problem);
      table += row(problem, result);
      fmt::print("{}", row(problem, result));
      const std::string wrong = broken(problem, result);
      if (!wrong.empty()) problems.push_back(problem.name + ", " + result.kernel + ":" + wrong);
    } catch (const std::exception& error) {
      ::simt::profile_stop();
      problems.push_back(problem.name + ": " + error.what());
    }
    std::fflush(stdout);
  }
  if (update && wanted.empty())
    write_file(ETUDE_GATE_README, with_table(ETUDE_GATE_README, "counters", table));
  if (!problems.empty()) fmt::print("broken limits:\n");
  for (const std::string& problem : problems) fmt::print("  {}\n", problem);
  fmt::print("{} problems, {} broken limits\n", count, problems.size());
  return problems.empty() && count > 0 ? 0 : 1;
}

}  // namespace
}  // namespace etude::gate

int main(int argc, char** argv) {
  try {
    return etude::gate::run({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    fmt::print(stderr, "etude-counters: {}\n", error.what());
    return 1;
  }
}
