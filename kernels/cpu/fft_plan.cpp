#include "kernels/cpu/fft_plan.h"

#include <complex>
#include <map>
#include <memory>
#include <mutex>
#include <numbers>
#include <vector>

namespace etude {
namespace {

using Complex = std::complex<double>;

// exp(-2 pi i k / n), k taken modulo n first: the angle of a large k has lost its digits.
Complex root(Index k, Index n) {
  return std::polar(1.0,
                    -2 * std::numbers::pi * static_cast<double>(k % n) / static_cast<double>(n));
}

Index largest_prime_factor(Index n) {
  Index largest = 1;
  for (Index p = 2; p * p <= n; ++p)
    for (; n % p == 0; n /= p) largest = p;
  return n > 1 ? n : largest;
}

// The radices of a smooth length, first pass first. Odd primes come first, and radix 8, which does
// the most work for a pass over the data, last, where its seven twiddle factors are not needed. A
// single left-over 2 joins an 8 as 4 x 4.
std::vector<Index> radices_of(Index n) {
  std::vector<Index> radices;
  Index twos = 0;
  for (; n % 2 == 0; n /= 2) ++twos;
  for (Index p = 3; n > 1; p += 2)
    for (; n % p == 0; n /= p) radices.insert(radices.begin(), p);
  const Index fours = twos % 3 == 1 && twos > 1 ? 2 : (twos % 3 == 2 ? 1 : 0);
  const Index eights = (twos - 2 * fours) / 3;
  radices.insert(radices.end(), static_cast<std::size_t>(eights), 8);
  radices.insert(radices.end() - (eights ? 1 : 0), static_cast<std::size_t>(fours), 4);
  if (twos == 1) radices.push_back(2);
  return radices;
}

// In double precision, for the tables: recursive, decimation in time over the smallest factor.
std::vector<Complex> transform(const std::vector<Complex>& x) {
  const auto n = static_cast<Index>(x.size());
  Index p = 2;
  while (p < n && n % p) ++p;
  if (n <= 1) return x;
  const Index m = n / p;
  std::vector<std::vector<Complex>> parts;
  for (Index r = 0; r < p; ++r) {
    std::vector<Complex> part(static_cast<std::size_t>(m));
    for (Index i = 0; i < m; ++i)
      part[static_cast<std::size_t>(i)] = x[static_cast<std::size_t>(i * p + r)];
    parts.push_back(transform(part));
  }
  std::vector<Complex> y(x.size());
  for (Index k = 0; k < n; ++k)
    for (Index r = 0; r < p; ++r)
      y[static_cast<std::size_t>(k)] +=
          root(r * k, n) * parts[static_cast<std::size_t>(r)][static_cast<std::size_t>(k % m)];
  return y;
}

void append(std::vector<float>& table, Complex value) {
  table.push_back(static_cast<float>(value.real()));
  table.push_back(static_cast<float>(value.imag()));
}

// A plan and the memory behind its pointers.
struct OwnedPlan {
  FftPlan plan{};
  std::vector<std::vector<float>> tables;
  std::vector<std::int32_t> position;
  std::unique_ptr<OwnedPlan> convolution;

  const float* keep(std::vector<float> table) {
    tables.push_back(std::move(table));
    return tables.back().data();  // moving a vector leaves its elements where they are
  }
};

std::unique_ptr<OwnedPlan> make_plan(Index points);

void make_stages(OwnedPlan& owned) {
  FftPlan& plan = owned.plan;
  owned.position.assign(static_cast<std::size_t>(plan.points), 0);
  Index length = plan.points;  // of the blocks that the stage works on
  Index stride = 1;            // their number
  for (const Index radix : radices_of(plan.points)) {
    const Index span = length / radix;
    std::vector<float> twiddle, roots;
    for (Index j = 0; j < span; ++j)
      for (Index q = 1; q < radix; ++q) append(twiddle, root(j * q, length));
    for (Index t = 0; t < radix; ++t) append(roots, std::conj(root(t, radix)));
    // Output q of a block holds the coefficients k = q (mod radix) of that block's transform.
    for (Index k = 0; k < plan.points; ++k)
      owned.position[static_cast<std::size_t>(k)] +=
          static_cast<std::int32_t>(k / stride % radix * span);
    plan.stages[plan.stage_count++] = {radix, span, owned.keep(std::move(twiddle)),
                                       owned.keep(std::move(roots))};
    length = span;
    stride *= radix;
  }
}

// L. I. Bluestein, "A linear filtering approach to the computation of discrete Fourier transform",
// 1970: n k = (n^2 + k^2 - (k - n)^2) / 2 makes the transform a convolution with a chirp.
void make_chirp(OwnedPlan& owned) {
  FftPlan& plan = owned.plan;
  const Index n = plan.points;
  Index length = 2 * n - 1;
  while (length % 8 || largest_prime_factor(length) > 5) ++length;
  owned.convolution = make_plan(length);
  plan.convolution = &owned.convolution->plan;

  std::vector<float> chirp, spectrum;
  std::vector<Complex> filter(static_cast<std::size_t>(length));
  for (Index k = 0; k < n; ++k) {
    const Complex value = root(k * k, 2 * n);
    append(chirp, value);
    filter[static_cast<std::size_t>(k)] = std::conj(value);
    filter[static_cast<std::size_t>((length - k) % length)] = std::conj(value);
  }
  for (const Complex value : transform(filter))
    append(spectrum, value / static_cast<double>(length));
  plan.chirp = owned.keep(std::move(chirp));
  plan.filter = owned.keep(std::move(spectrum));
  for (Index k = 0; k < n; ++k) owned.position.push_back(static_cast<std::int32_t>(k));
}

std::unique_ptr<OwnedPlan> make_plan(Index points) {
  auto owned = std::make_unique<OwnedPlan>();
  owned->plan.points = points;
  if (largest_prime_factor(points) <= FftPlan::kMaxRadix)
    make_stages(*owned);
  else
    make_chirp(*owned);
  owned->plan.position = owned->position.data();
  return owned;
}

struct OwnedRealPlan {
  RealFftPlan plan{};
  std::unique_ptr<OwnedPlan> half;
  std::vector<float> twiddle;
};

}  // namespace

const RealFftPlan& real_fft_plan(Index n_fft) {
  static std::mutex mutex;
  // Never destroyed: threads may still run kernels while static objects are torn down.
  static auto& plans = *new std::map<Index, OwnedRealPlan>;
  const std::lock_guard lock(mutex);
  OwnedRealPlan& owned = plans[n_fft];
  if (!owned.half) {
    for (Index k = 0; k <= n_fft / 4; ++k) append(owned.twiddle, root(k, n_fft));
    owned.half = make_plan(n_fft / 2);
    owned.plan = {n_fft, &owned.half->plan, owned.twiddle.data()};
  }
  return owned.plan;
}

}  // namespace etude
