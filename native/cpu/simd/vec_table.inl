namespace {

template <core::DType From, core::DType To>
void convertArray(const void* x, void* y, int64_t n) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const Vec v = loadAs<From>(x, i);
    // Storing bfloat16 compares.
    storeAs<To>(y, i, From == core::DType::kFloat16 && To == core::DType::kBFloat16 ? opaque(v) : v);
  }
  const int rest = static_cast<int>(n - i);
  if (rest > 0) storeAsN<To>(y, i, loadAsN<From>(x, i, rest), rest);
}

template <core::DType From>
void convertTo(const void* x, void* y, core::DType to, int64_t n) {
  if (to == core::DType::kFloat32) return convertArray<From, core::DType::kFloat32>(x, y, n);
  if (to == core::DType::kFloat16) return convertArray<From, core::DType::kFloat16>(x, y, n);
  return convertArray<From, core::DType::kBFloat16>(x, y, n);
}

void convert(const void* x, core::DType from, void* y, core::DType to, int64_t n) {
  if (from == to) {
    memcpy(y, x, static_cast<size_t>(n) * (from == core::DType::kFloat32 ? 4 : 2));
    return;
  }
  if (from == core::DType::kFloat32) return convertTo<core::DType::kFloat32>(x, y, to, n);
  if (from == core::DType::kFloat16) return convertTo<core::DType::kFloat16>(x, y, to, n);
  return convertTo<core::DType::kBFloat16>(x, y, to, n);
}

template <core::Act A>
void activateArray(float param, SnakeChannel snake, const float* x, float* y, int64_t n) {
  for (int64_t i = 0; i < n; i += kLanes) {
    const int lanes = n - i < kLanes ? static_cast<int>(n - i) : kLanes;
    if (lanes == kLanes) {
      store(y + i, activate<A>(load(x + i), param, snake));
    } else {
      storeN(y + i, activate<A>(loadN(x + i, lanes), param, snake), lanes);
    }
  }
}

void activateAny(core::Act act, float param, float alpha, bool logScale, const float* x, float* y, int64_t n) {
  using core::Act;
  const SnakeChannel snake = act == Act::kSnake ? snakeChannel(alpha, logScale) : SnakeChannel{1, 1};
  switch (act) {
    case Act::kNone:
      return activateArray<Act::kNone>(param, snake, x, y, n);
    case Act::kLeakyRelu:
      return activateArray<Act::kLeakyRelu>(param, snake, x, y, n);
    case Act::kRelu:
      return activateArray<Act::kRelu>(param, snake, x, y, n);
    case Act::kElu:
      return activateArray<Act::kElu>(param, snake, x, y, n);
    case Act::kGelu:
      return activateArray<Act::kGelu>(param, snake, x, y, n);
    case Act::kSilu:
      return activateArray<Act::kSilu>(param, snake, x, y, n);
    case Act::kSigmoid:
      return activateArray<Act::kSigmoid>(param, snake, x, y, n);
    case Act::kTanh:
      return activateArray<Act::kTanh>(param, snake, x, y, n);
    case Act::kSnake:
      return activateArray<Act::kSnake>(param, snake, x, y, n);
    case Act::kExp:
      return activateArray<Act::kExp>(param, snake, x, y, n);
    case Act::kSin:
      return activateArray<Act::kSin>(param, snake, x, y, n);
    case Act::kPow:
      return activateArray<Act::kPow>(param, snake, x, y, n);
  }
}

template <Vec (*F)(Vec)>
void mapArray(const float* x, float* y, int64_t n) {
  for (int64_t i = 0; i < n; i += kLanes) {
    const int lanes = n - i < kLanes ? static_cast<int>(n - i) : kLanes;
    storeN(y + i, F(loadN(x + i, lanes)), lanes);
  }
}

}  // namespace

extern const VecTable vecTable = {convert, activateAny, mapArray<log>, mapArray<erf>};
