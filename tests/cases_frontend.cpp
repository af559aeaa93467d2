// Cases of the audio front end.
#include <cmath>

#include "tests/cases.h"

namespace etude::test {
namespace {

std::string label(const StftShape& p) {
  return fmt::format("{}x{} n_fft {} hop {}{}{}", p.clips, p.samples, p.n_fft, p.hop,
                     p.centred ? "" : " not centred",
                     p.pad_mode == PadMode::reflect ? " reflect" : "");
}

StftOptions options(const StftShape& p) { return {p.n_fft, p.hop, p.centred, p.pad_mode}; }

// White noise through a window without structure: no bin is weak, no symmetry hides an index error.
std::vector<Input> audio_and_window(const StftShape& p) {
  return {{"audio", {p.clips, p.samples}, Fill::normal, 0, 0.3, false},
          {"window", {p.n_fft}, Fill::uniform, 0.2, 1, false}};
}

double fft_flops(const StftShape& p) {
  const auto n = static_cast<double>(p.n_fft);
  return static_cast<double>(p.clips * p.frames()) * (2.5 * n * std::log2(n) + n);
}

Case stft_case(const StftShape& p) {
  Case c;
  c.op = "stft";
  c.label = label(p);
  c.kernels = {"stft", "stft_workspace"};
  c.inputs = audio_and_window(p);
  c.run = [p](const Tensors& in) -> Tensors { return {stft(in[0], in[1], options(p))}; };
  c.reduction = static_cast<double>(p.n_fft);
  c.forward = {fft_flops(p),
               4 * static_cast<double>(p.clips * p.samples + p.clips * p.frames() * p.bins() * 2)};
  return c;
}

// Triangles whose centres are equally spaced over the bins; where they are narrower than a bin,
// some filters are empty.
MelFilterBank triangles(Index n_mels, Index bins, Device device) {
  MelFilterBank bank;
  bank.n_mels = n_mels;
  std::vector<float> weights;
  const double step = static_cast<double>(bins - 1) / static_cast<double>(n_mels + 1);
  for (Index m = 0; m < n_mels; ++m) {
    const double centre = step * static_cast<double>(m + 1);
    bank.offset.push_back(static_cast<std::int32_t>(weights.size()));
    bank.first.push_back(0);
    bank.count.push_back(0);
    for (Index b = 0; b < bins; ++b) {
      const double weight = 1 - std::abs(static_cast<double>(b) - centre) / step;
      if (weight <= 1e-6) continue;
      if (bank.count.back()++ == 0) bank.first.back() = static_cast<std::int32_t>(b);
      weights.push_back(static_cast<float>(weight));
    }
  }
  bank.weights = Tensor::from(weights, {static_cast<Index>(weights.size())}, device);
  std::vector<std::uint8_t> bytes;
  for (const auto* column : {&bank.first, &bank.count, &bank.offset}) {
    const auto* p = reinterpret_cast<const std::uint8_t*>(column->data());
    bytes.insert(bytes.end(), p, p + column->size() * sizeof(std::int32_t));
  }
  bank.indices = Tensor::from(bytes, {static_cast<Index>(bytes.size())}, device);
  return bank;
}

Case mel_case(const StftShape& p, Index n_mels, LogScale scale) {
  static constexpr const char* scales[] = {"", " dB", " dB offset"};
  Case c;
  c.op = scale == LogScale::none ? "mel_spectrogram" : "mel_spectrogram_db";
  c.label = fmt::format("{} mels {}{}", label(p), n_mels, scales[static_cast<int>(scale)]);
  c.kernels = {"mel_spectrogram", "mel_spectrogram_workspace"};
  c.inputs = audio_and_window(p);
  c.run = [=](const Tensors& in) -> Tensors {
    return {mel_spectrogram(in[0], in[1], options(p), triangles(n_mels, p.bins(), in[0].device()),
                            scale, 1e-3)};
  };
  c.reduction = static_cast<double>(p.n_fft);
  const auto frames = static_cast<double>(p.clips * p.frames());
  c.forward = {
      fft_flops(p) + frames * static_cast<double>(3 * p.bins() + 4 * p.bins()),
      4 * (static_cast<double>(p.clips * p.samples) + frames * static_cast<double>(n_mels))};
  return c;
}

Case top_db_case(Index clips, Index bands, Index frames, double range) {
  Case c;
  c.op = "top_db";
  c.label = fmt::format("{}x{}x{} range {}", clips, bands, frames, range);
  c.kernels = {"top_db", "top_db_workspace"};
  c.inputs = {{"y", {clips, bands, frames}, Fill::normal, -30, 20, false}};
  c.run = [range](const Tensors& in) -> Tensors {
    const Tensor y = in[0].clone();
    top_db(y, range);
    return {y};
  };
  const auto elements = static_cast<double>(clips * bands * frames);
  c.forward = {2 * elements, 12 * elements};
  return c;
}

Case standardize_case(const StandardizeShape& p, bool per_band, bool padded) {
  const auto elements = static_cast<double>(p.clips * p.bands * p.frames);
  Case c;
  c.op = "standardize";
  c.label = fmt::format("{}x{}x{} per {}{}", p.clips, p.bands, p.frames, per_band ? "band" : "clip",
                        padded ? " padded" : "");
  if (per_band)
    c.kernels = {"standardize_band"};
  else
    c.kernels = {"standardize_clip", "standardize_clip_workspace"};
  c.inputs = {
      {"y", {p.clips, p.bands, p.frames}, Fill::normal, -5, 2, false},
      {"frames_valid", {p.clips}, Fill::labels, 1, static_cast<double>(p.frames + 1), false},
      {"mean", {p.bands}, Fill::normal, -5, 1, false},
      {"inv_std", {p.bands}, Fill::uniform, 0.2, 2, false}};
  if (!per_band) c.inputs.resize(2);
  c.run = [=](const Tensors& in) -> Tensors {
    const Tensor y = in[0].clone();
    const Tensor valid = padded ? in[1] : Tensor{};
    if (per_band)
      standardize_band(y, in[2], in[3], valid);
    else
      standardize_clip(y, valid, p.eps);
    return {y};
  };
  // Numbers of 5 +- 2: see the offset of batch_norm.
  c.reduction = static_cast<double>(p.bands * p.frames) * 3.5 * 3.5;
  c.forward = {4 * elements, 4 * elements * (per_band ? 2 : 3)};
  return c;
}

}  // namespace

std::vector<Case> frontend_cases() {
  constexpr PadMode zero = PadMode::zero, reflect = PadMode::reflect;
  const StftShape problems[] = {
      {1, 128, 128, 32, true, zero},
      {2, 1000, 128, 100, false, zero},
      {1, 300, 130, 50, false, zero},     // 2 x 5 x 13
      {3, 1001, 256, 77, true, reflect},  // no power of two anywhere else
      {2, 900, 400, 200, true, reflect},  // 16 x 25
      {1, 700, 254, 90, true, zero},      // 2 x 127, a prime
      {1, 1500, 1102, 441, true, zero},   // 2 x 19 x 29
      {2, 1024, 512, 128, true, reflect},
      {1, 1025, 1024, 512, true, zero},
      {3, 4097, 2048, 512, true, zero},
      {1, 3000, 2048, 512, true, reflect},
      {1, 4096, 4096, 1024, true, zero},
      {1, 8200, 8192, 4096, false, zero},
      {1, 100, 256, 64, true, zero},  // a clip shorter than its window
      // Many frames that need no padding.
      {2, 3000, 1024, 256, true, reflect},
      {1, 4396, 4096, 100, false, zero},
      {3, 3000, 130, 40, true, reflect},
  };
  std::vector<Case> cases;
  for (const StftShape& p : problems) cases.push_back(stft_case(p));
  for (const StftShape& p : problems) {
    cases.push_back(mel_case(p, 40, LogScale::none));
    cases.push_back(mel_case(p, 17, LogScale::db));
  }
  cases.push_back(mel_case(problems[0], 100, LogScale::none));  // more filters than bins
  cases.push_back(mel_case(problems[0], 100, LogScale::db));
  cases.push_back(mel_case(problems[9], 128, LogScale::db_offset));
  cases.push_back(mel_case(problems[4], 64, LogScale::db_offset));
  cases.push_back(mel_case(problems[7], 300, LogScale::none));
  for (const StftShape& p : {problems[3], problems[12]})
    cases.push_back(mel_case(p, 1, LogScale::none));  // over all bins
  for (const double range : {80.0, 20.0}) {
    cases.push_back(top_db_case(1, 1, 1, range));
    cases.push_back(top_db_case(3, 17, 33, range));
    cases.push_back(top_db_case(2, 128, 300, range));
  }
  for (const bool per_band : {false, true})
    for (const bool padded : {false, true}) {
      cases.push_back(standardize_case({1, 1, 2}, per_band, padded));
      cases.push_back(standardize_case({3, 17, 33}, per_band, padded));
      cases.push_back(standardize_case({2, 128, 300}, per_band, padded));
    }
  return cases;
}

}  // namespace etude::test
