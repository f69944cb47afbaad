// A voice assistant on an ESP32 with an I2S microphone (INMP441) and an I2S amplifier (MAX98357A), talking to a Parley server.
//
// Libraries (Arduino library manager): "WebSockets" by Markus Sattler, "ArduinoJson" by Benoit Blanchon. Board: ESP32-S3 or ESP32, core 3.x.
// On the server: parley serve --host 0.0.0.0 --api-key KEY   (without TLS, in a network that you trust; else beginSSL and port 443)
//
// Audio is 16 kHz, 16 bits, one channel: 32 KB/s each way. A binary frame of the server is audio, a text frame is an event. The server sends
// at the speed of the loudspeaker and 120 ms ahead of it, so the ring below never fills; on an interruption it says
// output_audio_buffer.cleared, and what the ring still holds is dropped.
//
// Written after the libraries' documentation; not compiled or run on a board by its authors.

#include <Arduino.h>
#include <ArduinoJson.h>
#include <ESP_I2S.h>
#include <WebSocketsClient.h>
#include <WiFi.h>

static const char *WIFI_NAME = "network";
static const char *WIFI_PASSWORD = "password";
static const char *SERVER = "192.168.1.10";
static const uint16_t PORT = 8765;
static const char *KEY_HEADER = "Authorization: Bearer KEY";
static const char *STREAM = "/v1/audio/stream?rate=16000&format=pcm16&lead_ms=120";

static const int RATE = 16000;
static const size_t FRAME = RATE / 50;     // samples in 20 ms
static const size_t RING = RATE / 2;       // half a second: four times the lead

static const int MIC_BCLK = 4, MIC_WS = 5, MIC_DATA = 6;
static const int AMP_BCLK = 15, AMP_WS = 16, AMP_DATA = 7;

static I2SClass microphone, amplifier;
static WebSocketsClient server;

static int16_t ring[RING];                 // what waits for the loudspeaker
static size_t ringStart = 0, ringCount = 0;
static portMUX_TYPE ringLock = portMUX_INITIALIZER_UNLOCKED;

static void enqueue(const uint8_t *bytes, size_t length) {
  const size_t samples = length / 2;       // the server splits no sample
  portENTER_CRITICAL(&ringLock);
  for (size_t i = 0; i < samples && ringCount < RING; i++) {
    ring[(ringStart + ringCount++) % RING] = int16_t(bytes[2 * i] | bytes[2 * i + 1] << 8);
  }
  portEXIT_CRITICAL(&ringLock);
}

static void dropAll() {
  portENTER_CRITICAL(&ringLock);
  ringCount = 0;
  portEXIT_CRITICAL(&ringLock);
}

static void onEvent(const uint8_t *text, size_t length) {
  JsonDocument filter, event;              // of a long event, only what is used here
  filter["type"] = true;
  filter["transcript"] = true;
  filter["error"]["message"] = true;
  if (deserializeJson(event, text, length, DeserializationOption::Filter(filter))) return;
  const String type = event["type"] | "";
  if (type == "output_audio_buffer.cleared") {
    dropAll();
  } else if (type == "conversation.item.input_audio_transcription.completed") {
    Serial.printf("you:   %s\n", event["transcript"] | "");
  } else if (type == "response.output_audio_transcript.done") {
    Serial.printf("agent: %s\n", event["transcript"] | "");
  } else if (type == "error") {
    Serial.printf("error: %s\n", event["error"]["message"] | "");
  }
}

static void onFrame(WStype_t kind, uint8_t *payload, size_t length) {
  switch (kind) {
    case WStype_CONNECTED: Serial.println("connected"); break;
    case WStype_DISCONNECTED: Serial.println("not connected"); dropAll(); break;
    case WStype_BIN: enqueue(payload, length); break;
    case WStype_TEXT: onEvent(payload, length); break;
    default: break;
  }
}

// The loudspeaker has a task of its own: write() waits until the hardware has room, which is what keeps the time.
static void play(void *) {
  int16_t frame[FRAME];
  for (;;) {
    portENTER_CRITICAL(&ringLock);
    const size_t count = ringCount < FRAME ? ringCount : FRAME;
    for (size_t i = 0; i < count; i++) frame[i] = ring[(ringStart + i) % RING];
    ringStart = (ringStart + count) % RING;
    ringCount -= count;
    portEXIT_CRITICAL(&ringLock);
    memset(frame + count, 0, sizeof(frame) - count * sizeof(int16_t));
    amplifier.write(reinterpret_cast<uint8_t *>(frame), sizeof(frame));
  }
}

void setup() {
  Serial.begin(115200);
  WiFi.begin(WIFI_NAME, WIFI_PASSWORD);
  while (WiFi.status() != WL_CONNECTED) delay(200);

  microphone.setPins(MIC_BCLK, MIC_WS, -1, MIC_DATA);
  microphone.begin(I2S_MODE_STD, RATE, I2S_DATA_BIT_WIDTH_32BIT, I2S_SLOT_MODE_MONO, I2S_STD_SLOT_LEFT);
  amplifier.setPins(AMP_BCLK, AMP_WS, AMP_DATA);
  amplifier.begin(I2S_MODE_STD, RATE, I2S_DATA_BIT_WIDTH_16BIT, I2S_SLOT_MODE_MONO, I2S_STD_SLOT_LEFT);
  xTaskCreatePinnedToCore(play, "play", 4096, nullptr, 5, nullptr, 1);

  server.begin(SERVER, PORT, STREAM);
  server.setExtraHeaders(KEY_HEADER);
  server.onEvent(onFrame);
  server.setReconnectInterval(2000);
}

void loop() {
  for (int i = 0; i < 4; i++) server.loop();  // several frames may have come in 20 ms
  int32_t heard[FRAME];                    // an INMP441 gives 24 bits in 32
  const size_t bytes = microphone.readBytes(reinterpret_cast<char *>(heard), sizeof(heard));
  int16_t frame[FRAME];
  const size_t samples = bytes / sizeof(int32_t);
  for (size_t i = 0; i < samples; i++) {
    const int32_t louder = heard[i] >> 14;  // four times, which suits speech at arm's length
    frame[i] = louder > 32767 ? 32767 : louder < -32768 ? -32768 : louder;
  }
  if (server.isConnected() && samples > 0) server.sendBIN(reinterpret_cast<uint8_t *>(frame), samples * sizeof(int16_t));
}
