// The Vercel AI SDK in Node; what it saw goes to stdout as one line of JSON.
//
//   node ai.mjs '{"http": "http://127.0.0.1:8765/v1", "scenario": "token"}'
//
// Scenarios: token, what a backend gives to its page (ai-session.mjs); speech; transcribe.
import { readFileSync } from 'node:fs';
import { createOpenAI } from '@ai-sdk/openai';
import { generateSpeech, transcribe } from 'ai';

const { http, scenario, audio } = JSON.parse(process.argv[2]);
const openai = createOpenAI({ baseURL: http, apiKey: 'none' });
const refused = (error) => ({ status: error.statusCode, message: error.message });

const SCENARIOS = {
  async token() {
    const { token } = await openai.experimental_realtime.getToken({ model: 'gpt-realtime', expiresAfterSeconds: 60 });
    return { token };
  },
  async speech() {
    const { audio: spoken } = await generateSpeech({ model: openai.speech('tts-1'), text: 'Good morning.', voice: 'alloy', maxRetries: 0 });
    const error = await generateSpeech({ model: openai.speech('tts-1'), text: 'Good morning.', voice: 'nobody', maxRetries: 0 }).catch(refused);
    return { mediaType: spoken.mediaType, bytes: spoken.uint8Array.byteLength, error };
  },
  async transcribe() {
    const { text, segments } = await transcribe({ model: openai.transcription('whisper-1'), audio: readFileSync(audio), maxRetries: 0 });
    const error = await transcribe({ model: openai.transcription('no-such-model'), audio: readFileSync(audio), maxRetries: 0 }).catch(refused);
    return { text, segments, error };
  },
};

console.log(JSON.stringify(await SCENARIOS[scenario]()));
