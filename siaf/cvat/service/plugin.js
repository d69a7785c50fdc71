/* SIAF in CVAT's own pages: actions in Menu → Run actions of a job, which have the service under /siaf/ run rounds.
 * CVAT offers window.cvatUI once its application is there, and then fires "plugins.ready" on the document.
 */
(() => {
    'use strict';

    const TITLE = 'SIAF';
    const ROUND = 'SIAF: commit scribbles and propagate';
    const PART = 'SIAF: commit scribbles and propagate from frame to frame';
    const NEXT = 'SIAF: next frame to fix';
    const UNDO = 'SIAF: undo last round';
    const CHANGES = {
        swap: { name: 'SIAF: swap two objects from a frame on', objects: ['Object', 'Other object'] },
        merge: { name: 'SIAF: merge two objects from a frame on', objects: ['Object that stays', 'Object that joins it'] },
        split: { name: 'SIAF: split an object from a frame on', objects: ['Object'] },
    };
    const FRAME = 'From frame';
    const LAST = 'To frame';
    const MOST_OBJECTS = 255;
    const FALLBACK = 'Ask for a round with the tag siaf:run instead, if your team watches for it.';
    const POLL_MS = 1000;
    const LATE_MS = 60000; // CVAT's application has started by then, or has no such hook
    const NOTHING = { shapes: [], tags: [], tracks: [] };

    const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

    // A panel of our own: CVAT gives foreign scripts errors to show, but no messages.
    function show(lines, bad = false) {
        document.getElementById('siaf-panel')?.remove();
        const panel = document.createElement('div');
        panel.id = 'siaf-panel';
        panel.setAttribute('role', bad ? 'alert' : 'status');
        panel.style.cssText = 'position:fixed;right:24px;bottom:24px;z-index:2000;max-width:480px;max-height:60vh;'
            + 'overflow:auto;padding:12px 16px;background:#fff;color:#222;white-space:pre-wrap;font-size:13px;'
            + `border-radius:6px;border-left:4px solid ${bad ? '#d4380d' : '#1890ff'};`
            + 'box-shadow:0 4px 16px rgba(0,0,0,.25)';
        const close = document.createElement('button');
        close.textContent = '×';
        close.setAttribute('aria-label', 'Close');
        close.style.cssText = 'float:right;border:0;background:none;font-size:18px;cursor:pointer';
        close.onclick = () => panel.remove();
        const text = document.createElement('div');
        text.textContent = [TITLE, ...lines].join('\n'); // never as HTML: names of labels are in it
        panel.append(close, text);
        document.body.append(panel);
    }

    class Failure extends Error {
        constructor(message, status, body) {
            super(message);
            this.status = status;
            this.body = body ?? {};
        }
    }

    async function ask(store, method, path, data) {
        const headers = { 'X-Siaf': '1' };
        if (method !== 'GET') {
            headers['X-CSRFToken'] = document.cookie.match(/(?:^|;\s*)csrftoken=([^;]*)/)?.[1] ?? '';
        }
        if (data) headers['Content-Type'] = 'application/json';
        const organization = store.getState().organizations?.current?.slug;
        const sign = path.includes('?') ? '&' : '?';
        const url = `/siaf/${path}${organization ? `${sign}org=${encodeURIComponent(organization)}` : ''}`;
        let answer;
        try {
            answer = await fetch(url, {
                method, headers, body: data && JSON.stringify(data), credentials: 'same-origin', cache: 'no-store',
            });
        } catch (error) {
            throw new Failure(`${TITLE}: the service does not answer`, 0);
        }
        const body = await answer.json().catch(() => null);
        if (!answer.ok || body === null) {
            const said = body?.error?.message ?? `the service under /siaf/ answers ${answer.status}`;
            throw new Failure(`${TITLE}: ${said}`, answer.status, body);
        }
        return body;
    }

    // A service that restarts, or a proxy that hiccups, is waited for: the round itself is not touched by that.
    async function current(store, path) {
        for (let tries = 0; ; tries += 1) {
            try {
                return await ask(store, 'GET', path);
            } catch (error) {
                if (tries === 20 || ![0, 429, 502, 503, 504].includes(error.status)) throw error;
                await pause(POLL_MS);
            }
        }
    }

    // A new round; or, where the job has one already (of a page that was reloaded, or of a colleague), that one.
    async function start(store, job, wish) {
        try {
            return { round: await ask(store, 'POST', `jobs/${job}/rounds`, wish), intro: '' };
        } catch (error) {
            const round = error.body?.round;
            if (error.status !== 409 || !round) throw error;
            return { round, intro: `a round that ${round.by} asked for: ` };
        }
    }

    async function follow(store, job, { round: first, intro }, onProgress, cancelled) {
        const path = `jobs/${job}/rounds/current`;
        let round = first;
        let stopping = false;
        while (round.state === 'waiting' || round.state === 'running') {
            if (cancelled() && !stopping) {
                stopping = true;
                await ask(store, 'DELETE', path).catch((error) => {
                    if (error.status !== 404) throw error; // it has ended meanwhile
                });
            }
            const left = round.left_s === null ? '' : `, about ${Math.max(1, Math.round(round.left_s))} s left`;
            onProgress(`${intro}${round.message}${left}`, round.percent);
            await pause(POLL_MS);
            round = await current(store, path);
        }
        return round;
    }

    // Everything is read anew from the server, and the canvas with it.
    async function refresh(job) {
        await job.annotations.clear({ reload: true });
    }

    function makeActions({ core, dispatch, store, actionCreators }) {
        class SiafAction extends core.classes.BaseCollectionAction {
            get parameters() { return null; }

            async init(instance) {
                if (!(instance instanceof core.classes.Job)) throw new Error(`${TITLE}: open a job, not a task`);
                this.job = instance;
            }

            async destroy() { this.job = null; }

            // The service reads the job itself: nothing is to be collected here.
            applyFilter() { return NOTHING; }

            isApplicableForObject() { return false; }
        }

        const frames = (defaultValue) => ({
            type: 'number',
            values: ({ instance }) => [instance.startFrame ?? 0, instance.stopFrame ?? 0, 1].map((value) => `${value}`),
            defaultValue,
        });
        const shownFrame = () => `${store.getState().annotation.player.frame.number}`;

        class RoundAction extends SiafAction {
            get name() { return ROUND; }

            get wish() { return {}; }

            async run({ onProgress, cancelled }) {
                const { job } = this;
                onProgress('saving', 0);
                await job.annotations.save();
                let round = await follow(store, job.id, await start(store, job.id, this.wish), onProgress, cancelled);
                if (round.error?.code === 'questions') {
                    const asked = round.error.questions.map((question) => `• ${question}`).join('\n');
                    if (window.confirm(`${TITLE} asks before it goes on:\n\n${asked}\n\nTake the masks as they are?`)) {
                        round = await ask(store, 'POST', `jobs/${job.id}/rounds`, { ...this.wish, yes: true });
                        round = await follow(store, job.id, { round, intro: '' }, onProgress, cancelled);
                    }
                }
                await refresh(job);
                show(round.state === 'done' ? round.lines : [round.message], round.state !== 'done');
                return { created: NOTHING, deleted: NOTHING };
            }
        }

        class PartAction extends RoundAction {
            get name() { return PART; }

            get parameters() {
                return { [FRAME]: frames(shownFrame), [LAST]: frames(({ instance }) => `${instance.stopFrame ?? 0}`) };
            }

            async init(instance, parameters) {
                await super.init(instance);
                this.range = [Number(parameters[FRAME]), Number(parameters[LAST])];
            }

            get wish() { return { frames: this.range }; }
        }

        // What is done about rounds goes through the same queue. A round of somebody else is not taken for it.
        class ControlAction extends SiafAction {
            async control(wish, { onProgress, cancelled }) {
                const { job } = this;
                onProgress('saving', 0);
                await job.annotations.save();
                const round = await ask(store, 'POST', `jobs/${job.id}/rounds`, wish);
                const ended = await follow(store, job.id, { round, intro: '' }, onProgress, cancelled);
                await refresh(job);
                show(ended.state === 'done' ? ended.lines : [ended.message], ended.state !== 'done');
                return { created: NOTHING, deleted: NOTHING };
            }
        }

        class UndoAction extends ControlAction {
            get name() { return UNDO; }

            async run(input) { return this.control({ do: 'undo' }, input); }
        }

        class ChangeAction extends ControlAction {
            constructor(what) {
                super();
                this.what = what;
            }

            get name() { return CHANGES[this.what].name; }

            get parameters() {
                const values = ['1', `${MOST_OBJECTS}`, '1'];
                const object = (number) => ({ type: 'number', values, defaultValue: `${number}` });
                const { objects } = CHANGES[this.what];
                return {
                    ...Object.fromEntries(objects.map((name, index) => [name, object(index + 1)])),
                    [FRAME]: frames(shownFrame),
                };
            }

            async init(instance, parameters) {
                await super.init(instance);
                this.wish = {
                    do: this.what,
                    objects: CHANGES[this.what].objects.map((name) => Number(parameters[name])),
                    from_frame: Number(parameters[FRAME]),
                };
            }

            async run(input) { return this.control(this.wish, input); }
        }

        class NextAction extends SiafAction {
            get name() { return NEXT; }

            async run() {
                const { number } = store.getState().annotation.player.frame;
                const found = await ask(store, 'GET', `jobs/${this.job.id}/next?after=${number}`);
                if (found.frame === null) {
                    show([found.round ? 'no frame is left to advise' : 'no round has been run on this job yet']);
                } else {
                    await dispatch(actionCreators.changeFrameAsync(found.frame));
                    show([`frame ${found.frame} of: ${found.frames.join(', ')}`]);
                }
                return { created: NOTHING, deleted: NOTHING };
            }
        }

        const jumping = actionCreators?.changeFrameAsync ? [new NextAction()] : [];
        const changes = Object.keys(CHANGES).map((what) => new ChangeAction(what));
        return [new RoundAction(), new PartAction(), ...jumping, new UndoAction(), ...changes];
    }

    function lacks({ core, actionCreators }) {
        const found = [];
        if (!core?.actions?.register) found.push('core.actions.register');
        if (!core?.classes?.BaseCollectionAction) found.push('core.classes.BaseCollectionAction');
        if (!core?.classes?.Job) found.push('core.classes.Job');
        if (!actionCreators?.changeFrameAsync) found.push('actionCreators.changeFrameAsync');
        return found;
    }

    function build(offered) {
        const missing = lacks(offered);
        const usable = !missing.some((name) => name.startsWith('core.'));
        if (missing.length) {
            const what = usable ? `there is no "${NEXT}"` : `there are no actions. ${FALLBACK}`;
            show([`this version of CVAT has no ${missing.join(', ')}: ${what}`], true);
        }
        const actions = usable ? makeActions(offered) : [];
        actions.forEach((action) => {
            Promise.resolve(offered.core.actions.register(action)).catch((error) => show([error.message], true));
        });
        return {
            name: TITLE,
            destructor: () => actions.forEach((action) => offered.core.actions.unregister?.(action)),
        };
    }

    let registered = false;
    function register() {
        if (registered || !window.cvatUI?.registerComponent) return;
        registered = true;
        window.cvatUI.registerComponent(build);
    }

    document.addEventListener('plugins.ready', register);
    register();
    setTimeout(() => {
        if (!registered && /\/jobs\/\d+/.test(window.location.pathname)) {
            show([`this version of CVAT has no window.cvatUI: there are no actions. ${FALLBACK}`], true);
        }
    }, LATE_MS);
})();
