#!/bin/sh
# Ask a question, and get the answer whole and then as a stream: sh examples/curl.sh
#
# It calls the gateway at OPENAI_BASE_URL, with the key OPENAI_API_KEY if the gateway requires one.
set -eu

ask() {
    curl --silent --show-error --fail-with-body --no-buffer \
        "${OPENAI_BASE_URL:-http://127.0.0.1:8000/v1}/chat/completions" \
        --header "Authorization: Bearer ${OPENAI_API_KEY:-unused}" \
        --header 'Content-Type: application/json' \
        --data "{
            \"model\": \"sonnet\",
            \"stream\": $1,
            \"messages\": [{\"role\": \"user\", \"content\": \"Say hello.\"}]
        }"
    echo
}

ask false
ask true
