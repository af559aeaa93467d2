// Cases of the audio front end.
#include <cmath>
#include <cstring>

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

// What an augmentation has of all that there is.
struct AugmentParts {
  bool noise = false, masks = false, bands = false, stretched = false, mixed = false;
};

// Every sample with numbers of its own; every third without noise or partner.
Augmentation draw_augmentation(const AugmentShape& p, const AugmentParts& parts, Device device) {
  Generator random(static_cast<std::uint64_t>(p.n * p.bands * p.frames));
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(p.n) * sizeof(AugmentSample));
  std::vector<float> band_at, frame_at;
  const auto span = [&](Index length) -> AugmentSample::Span {
    const Index begin = random.below(length);
    return {static_cast<std::int32_t>(begin),
            static_cast<std::int32_t>(begin + random.below(length - begin + 1) / 2)};
  };
  for (Index k = 0; k < p.n; ++k) {
    AugmentSample sample;
    sample.gain = static_cast<float>(random.normal());
    sample.tilt = static_cast<float>(random.normal());
    if (parts.noise && k % 3 != 2) sample.noise = static_cast<float>(random.uniform(0.1, 0.5));
    // The second sample's counters cross 2^32.
    sample.noise_stream = {random.bits(), k == 1 ? 0xfffffffeu : random.bits() % 1000};
    if (parts.masks)
      for (int i = 0; i < 2; ++i) {
        sample.bands[i] = span(p.bands);
        sample.frames[i] = span(p.frames);
      }
    if (parts.mixed && k % 3 != 1) {
      sample.mix = static_cast<float>(random.uniform(0.5, 1));
      sample.partner = static_cast<std::int32_t>((k + 1) % p.n);
    }
    std::memcpy(bytes.data() + sizeof sample * static_cast<std::size_t>(k), &sample, sizeof sample);
    for (Index b = 0; b < p.bands; ++b)
      band_at.push_back(static_cast<float>(random.uniform() * static_cast<double>(p.bands - 1)));
    // The last frames of some samples are padding; the very last frame of x is read, too.
    const Index padding = k % 2 == 0 ? 0 : p.frames / 4;
    const double step = static_cast<double>(p.source_frames - 1) /
                        static_cast<double>(p.frames > 1 ? p.frames - 1 : 1);
    for (Index f = 0; f < p.frames; ++f)
      frame_at.push_back(
          f >= p.frames - padding ? -1 : static_cast<float>(step * static_cast<double>(f)));
  }
  Augmentation a;
  a.samples = Tensor::from(bytes, {p.n, static_cast<Index>(sizeof(AugmentSample))}, device);
  if (parts.bands) a.band_at = Tensor::from(band_at, {p.n, p.bands}, device);
  if (parts.stretched) a.frame_at = Tensor::from(frame_at, {p.n, p.frames}, device);
  a.pad = p.pad;
  return a;
}

Case augment_case(const AugmentShape& p, const AugmentParts& parts) {
  Case c;
  c.op = "augment";
  c.label = fmt::format("{}x{}x{}", p.n, p.bands, p.frames);
  if (parts.stretched) c.label += fmt::format(" of {}", p.source_frames);
  for (const auto& [has, what] : {std::pair{parts.noise, " noise"},
                                  {parts.masks, " masks"},
                                  {parts.bands, " bands moved"},
                                  {parts.mixed, " mixed"}})
    if (has) c.label += what;
  c.kernels = {"augment"};
  c.inputs = {{"x", {p.n, p.bands, p.source_frames, 1}, Fill::normal, 0, 1, false}};
  c.run = [=](const Tensors& in) -> Tensors {
    return {augment(in[0], draw_augmentation(p, parts, in[0].device()))};
  };
  const auto in = static_cast<double>(p.n * p.bands * p.source_frames);
  const auto out = static_cast<double>(p.n * p.bands * p.frames);
  c.forward = {out * (2 + (parts.noise ? 35 : 0) + (parts.bands ? 9 : 0) +
                      (parts.stretched ? 3 : 0) + (parts.mixed ? 3 : 0)),
               4 * (in + out)};
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
  const AugmentParts all_of_them{true, true, true, true, true};
  for (const AugmentShape& p : {AugmentShape{1, 1, 1, 1}, AugmentShape{3, 7, 13, 11, -0.5},
                                AugmentShape{5, 64, 75, 64}, AugmentShape{2, 3, 601, 515, 2}}) {
    const AugmentShape plain{p.n, p.bands, p.frames, p.frames};
    cases.push_back(augment_case(plain, {}));
    cases.push_back(augment_case(plain, {.noise = true}));
    cases.push_back(augment_case(plain, {.masks = true, .mixed = true}));
    cases.push_back(augment_case(plain, {.bands = true}));
    cases.push_back(augment_case(p, {.stretched = true}));
    cases.push_back(augment_case(p, all_of_them));
  }
  return cases;
}

}  // namespace etude::test
