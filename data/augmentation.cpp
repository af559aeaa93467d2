#include "data/augmentation.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>

namespace etude::data {
namespace {

Upload upload_values(const std::vector<SampleAugmentation>& samples, Device device) {
  constexpr std::size_t size = sizeof(AugmentSample);
  const auto n = static_cast<Index>(samples.size());
  Tensor bytes = Tensor::host_for(device, {n, static_cast<Index>(size)}, DType::u8);
  for (Index k = 0; k < n; ++k)
    std::memcpy(bytes.data<std::uint8_t>() + size * k, &samples[k].values, size);
  return {std::move(bytes), device};
}

// Nothing, unless some sample has positions.
Upload upload_positions(const std::vector<SampleAugmentation>& samples,
                        std::vector<float> SampleAugmentation::*positions, int length,
                        Device device) {
  if (std::all_of(samples.begin(), samples.end(),
                  [positions](const auto& sample) { return (sample.*positions).empty(); }))
    return {};
  Tensor at = Tensor::host_for(device, {static_cast<Index>(samples.size()), length});
  float* row = at.data<float>();
  for (const SampleAugmentation& sample : samples) {
    const std::vector<float>& from = sample.*positions;
    check(from.empty() || from.size() == static_cast<std::size_t>(length),
          "augmentation: {} positions for {}", from.size(), length);
    if (from.empty())
      std::iota(row, row + length, 0.0f);
    else
      std::copy(from.begin(), from.end(), row);
    row += length;
  }
  return {std::move(at), device};
}

}  // namespace

AugmentationUpload::AugmentationUpload(const std::vector<SampleAugmentation>& samples, int height,
                                       int width, Device device)
    : samples_(upload_values(samples, device)),
      band_at_(upload_positions(samples, &SampleAugmentation::band_at, height, device)),
      frame_at_(upload_positions(samples, &SampleAugmentation::frame_at, width, device)) {}

Tensor AugmentationUpload::operator()(const Tensor& x, double pad) const {
  return augment(x, {samples_.tensor(), band_at_.tensor(), frame_at_.tensor(), pad});
}

}  // namespace etude::data
