// The emulator itself: how fast a matrix product of 256 x 256 x 256 runs on it, as the example of
// kernels/simt and as the back end's own kernel. For those who wait for tests, not for kernels.
#include "bench/rows.h"
#include "engine/device.h"
#include "kernels/kernels.h"

#if ETUDE_HAVE_SIMT
#include <cuda_runtime.h>  // the emulator's

#include "kernels/simt/examples/examples.h"
#endif

namespace etude::bench {

#if ETUDE_HAVE_SIMT
namespace {

constexpr Device device{DeviceKind::simt};
constexpr Index n = 256;
constexpr Conv2dShape problem{n, 1, 1, n, n, 1, 1};

std::function<void()> example() {
  return [a = random_tensor({n, n}).to(device), b = random_tensor({n, n}).to(device),
          c = Tensor({n, n}, DType::f32, device)] {
    const auto error =
        examples::sgemm(n, n, n, a.data<float>(), b.data<float>(), c.data<float>(), nullptr);
    check(error == cudaSuccess, "sgemm: error {}", static_cast<int>(error));
  };
}

std::function<void()> linear() {
  return [x = random_tensor({n, n}).to(device), w = random_tensor({n, n}).to(device),
          y = Tensor({n, n}, DType::f32, device),
          work = Tensor(
              {static_cast<Index>(kernels_for<float>(device).conv2d_forward_workspace(problem))},
              DType::u8, device)] {
    const Kernels<float>& k = kernels_for<float>(device);
    k.conv2d_forward(current_stream(device), problem, x.data<float>(), w.data<float>(), nullptr,
                     false, y.data<float>(), work.data<std::uint8_t>());
    synchronize(device);
  };
}

}  // namespace
#endif

void register_simt_rows([[maybe_unused]] const Machine& machine) {
#if ETUDE_HAVE_SIMT
  const double size = static_cast<double>(n), flops = 2 * size * size * size;
  const double bytes = 3 * 4 * size * size;
  register_row(machine, {"simt/sgemm/256x256x256", flops, bytes, [] { return example(); }});
  register_row(machine, {"simt/linear/256x256x256", flops, bytes, [] { return linear(); }});
#endif
}

}  // namespace etude::bench
