// mma.sync and ldmatrix: the lane that arrives last computes for the whole warp.
#include <cstring>

#include "kernels/simt/runtime/worker.h"
#include "simt_shim/half_types.h"

namespace simt::detail {

namespace {

constexpr int kM = 16, kN = 8;

struct Operands {
  float* c;
  const void *a, *b;
};

float tf32_value(std::uint32_t bits) { return std::bit_cast<float>(bits & ~0x1FFFu); }

// D = A B + C, with A and B given element by element; see tensor_core.h for who holds what.
template <int K, class A, class B>
void multiply(void* const* payload, A&& a_at, B&& b_at) {
  double a[kM][K], b[K][kN];
  for (int i = 0; i < kM; ++i)
    for (int k = 0; k < K; ++k) a[i][k] = a_at(i, k);
  for (int k = 0; k < K; ++k)
    for (int j = 0; j < kN; ++j) b[k][j] = b_at(k, j);
  for (int i = 0; i < kM; ++i)
    for (int j = 0; j < kN; ++j) {
      float& c = static_cast<const Operands*>(payload[i % 8 * 4 + j / 2])->c[i / 8 * 2 + j % 2];
      double sum = 0;
      for (int k = 0; k < K; ++k) sum += a[i][k] * b[k][j];
      c = static_cast<float>(sum + static_cast<double>(c));
    }
}

const std::uint32_t* words(void* const* payload, int lane, bool of_a) {
  const auto* operands = static_cast<const Operands*>(payload[lane]);
  return static_cast<const std::uint32_t*>(of_a ? operands->a : operands->b);
}

// Two 16-bit numbers a register, 8 x 8 numbers a register of the warp.
template <int K, float (*Value)(std::uint16_t)>
void combine_16bit(std::uint32_t, void* const* payload) {
  const auto half_of = [](std::uint32_t word, int odd) {
    return Value(static_cast<std::uint16_t>(odd ? word >> 16 : word));
  };
  multiply<K>(
      payload,
      [&](int i, int k) {
        return half_of(words(payload, i % 8 * 4 + k % 8 / 2, true)[k / 8 * 2 + i / 8], k % 2);
      },
      [&](int k, int j) {
        return half_of(words(payload, j * 4 + k % 8 / 2, false)[k / 8], k % 2);
      });
}

void combine_tf32(std::uint32_t, void* const* payload) {
  multiply<8>(
      payload,
      [&](int i, int k) {
        return tf32_value(words(payload, i % 8 * 4 + k % 4, true)[k / 4 * 2 + i / 8]);
      },
      [&](int k, int j) { return tf32_value(words(payload, j * 4 + k % 4, false)[k / 4]); });
}

void run(Combine combine, float* c, const void* a, const void* b, const char* what, Site site) {
  Operands operands{c, a, b};
  collective(~0u, &operands, combine, what, site);
}

struct MatrixLoad {
  std::uint32_t* registers;
  int count;
  bool transposed;
  const void* row;
};

void combine_ldmatrix(std::uint32_t, void* const* payload) {
  const auto at = [&](int lane) { return static_cast<const MatrixLoad*>(payload[lane]); };
  const int count = at(0)->count;
  for (int m = 0; m < count; ++m) {
    std::uint16_t matrix[8][8];
    for (int row = 0; row < 8; ++row) std::memcpy(matrix[row], at(m * 8 + row)->row, 16);
    for (int lane = 0; lane < static_cast<int>(kWarp); ++lane) {
      const int r = lane / 4, c = lane % 4 * 2;
      const MatrixLoad& load = *at(lane);
      const std::uint16_t low = load.transposed ? matrix[c][r] : matrix[r][c];
      const std::uint16_t high = load.transposed ? matrix[c + 1][r] : matrix[r][c + 1];
      load.registers[m] = static_cast<std::uint32_t>(high) << 16 | low;
    }
  }
}

// The warp works as one: a block's last warp must be a whole one.
void check_whole_warp(Worker& worker, const char* what, Site site) {
  if (worker.whole_warp()) return;
  worker.fail(Defect::WarpDivergence, &site, nullptr,
              std::string(what) + " needs all 32 lanes of the warp");
}

}  // namespace

void mma_m16n8k8_tf32(float* c, const float* a, const float* b, Site site) {
  check_whole_warp(Worker::in_kernel(), "mma", site);
  run(combine_tf32, c, a, b, "mma.m16n8k8.tf32", site);
}
void mma_m16n8k16_f16(float* c, const std::uint32_t* a, const std::uint32_t* b, Site site) {
  check_whole_warp(Worker::in_kernel(), "mma", site);
  run(combine_16bit<16, half_value>, c, a, b, "mma.m16n8k16.f16", site);
}
void mma_m16n8k16_bf16(float* c, const std::uint32_t* a, const std::uint32_t* b, Site site) {
  check_whole_warp(Worker::in_kernel(), "mma", site);
  run(combine_16bit<16, bfloat16_value>, c, a, b, "mma.m16n8k16.bf16", site);
}
void mma_m16n8k8_f16(float* c, const std::uint32_t* a, const std::uint32_t* b, Site site) {
  check_whole_warp(Worker::in_kernel(), "mma", site);
  run(combine_16bit<8, half_value>, c, a, b, "mma.m16n8k8.f16", site);
}

void ldmatrix(std::uint32_t* registers, int count, bool transposed, const void* row, Site site) {
  Worker& worker = Worker::in_kernel();
  check_whole_warp(worker, "ldmatrix", site);
  if (static_cast<int>(worker.lane()) < count * 8) {
    if (reinterpret_cast<std::uintptr_t>(row) % 16 != 0)
      worker.fail(Defect::Misaligned, &site, nullptr,
                  "ldmatrix of a row at an address that is no multiple of 16");
    if (!worker.is_shared(row, 16))
      worker.fail(Defect::SharedBounds, &site, nullptr,
                  "ldmatrix of a row outside every shared array");
    if (Observer* observer = worker.observer())
      observer->access(row, 16, Access::Load, __builtin_return_address(0));
  }
  MatrixLoad load{registers, count, transposed, row};
  collective(~0u, &load, combine_ldmatrix, "ldmatrix", site);
}

}  // namespace simt::detail
