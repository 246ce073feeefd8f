#!/bin/sh
# Have a conversation that the gateway remembers, with curl: each request carries only what is new.
#
#   sh examples/session_curl_example.sh
#
# It calls the gateway at OPENAI_BASE_URL, with the key OPENAI_API_KEY if the gateway requires one.
set -eu

url=${OPENAI_BASE_URL:-http://127.0.0.1:8000/v1}
session=example-$(date +%s)-$$

call() {
    curl --silent --show-error --fail-with-body \
        --header "Authorization: Bearer ${OPENAI_API_KEY:-unused}" "$@"
    echo
}

ask() {
    echo "> $1"
    call "$url/chat/completions" --header 'Content-Type: application/json' --data "{
        \"model\": \"sonnet\",
        \"session_id\": \"$session\",
        \"claude\": {\"profile\": \"plain\"},
        \"messages\": [{\"role\": \"user\", \"content\": \"$1\"}]
    }"
}

ask 'My name is Ada. Say hello.'
ask 'I like green tea.'
ask 'What do you know about me?'

echo '> All sessions, the messages of this one, and their totals:'
call "$url/sessions"
call "$url/sessions/$session"
call "$url/sessions/stats"

echo '> The session is deleted:'
call --request DELETE "$url/sessions/$session"
